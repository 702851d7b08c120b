"""The text that all kernels share: numbers, vectors of neighbours, and what is done to them.

It uses the types I, R and A of a kernel, which stand above it.
"""

from __future__ import annotations

__all__ = ["DTYPES", "HALF", "PREAMBLE"]

#: The dtypes that kernels have, and what they are in C++.
DTYPES = {
    "float16": "Half",
    "bfloat16": "BFloat",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
}

PREAMBLE = """
#define DEVICE __device__ __forceinline__
#define INLINE __attribute__((always_inline))

struct Half { unsigned short bits; };
struct BFloat { unsigned short bits; };
template <class T> struct alignas(2 * sizeof(T)) Complex { T re, im; };
// The high and the low point of a difference, as offsets.
struct alignas(8) Pair { int high, low; };

// The value of an element.
DEVICE R real_of(Half x) { return half_to_float(x.bits); }
DEVICE R real_of(BFloat x) { return __uint_as_float((unsigned int)x.bits << 16); }
template <class T> DEVICE R real_of(T x) { return (R)x; }

// Integers as exact parts: their differences are exact.
template <int BITS> struct Split { R high, low; };
template <int BITS> DEVICE R operator-(Split<BITS> a, Split<BITS> b) {
  return (a.high - b.high) * (R)(1ull << BITS) + (a.low - b.low);
}

DEVICE Complex<R> operator-(Complex<R> a, Complex<R> b) { return {a.re - b.re, a.im - b.im}; }
DEVICE Complex<R> operator+(Complex<R> a, Complex<R> b) { return {a.re + b.re, a.im + b.im}; }
DEVICE Complex<R> operator-(Complex<R> a) { return {-a.re, -a.im}; }
DEVICE Complex<R> operator*(R a, Complex<R> b) { return {a * b.re, a * b.im}; }
DEVICE Complex<R> operator*(Complex<R> a, R b) { return {a.re * b, a.im * b}; }
DEVICE Complex<R> operator*(Complex<R> a, Complex<R> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

template <class T> struct Cast;
template <> struct Cast<R> {
  static DEVICE R of(R x) { return x; }
  template <int BITS> static DEVICE R of(Split<BITS> x) {
    return x.high * (R)(1ull << BITS) + x.low;
  }
};
template <> struct Cast<Complex<R>> {
  static DEVICE Complex<R> of(Complex<R> x) { return x; }
  template <class T> static DEVICE Complex<R> of(T x) { return {Cast<R>::of(x), (R)0}; }
};

// What comes out, in the dtype of the result.
template <class T> struct Result { static DEVICE T of(A x) { return (T)x; } };
template <class S> struct Result<Complex<S>> {
  static DEVICE Complex<S> of(Complex<R> x) { return {(S)x.re, (S)x.im}; }
  static DEVICE Complex<S> of(R x) { return {(S)x, (S)0}; }
};
template <> struct Result<Half> {
  static DEVICE Half of(float x) { return {float_to_half(x)}; }
};
template <> struct Result<BFloat> {
  static DEVICE BFloat of(float x) {
    unsigned int bits = __float_as_uint(x);
    unsigned int rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return {(unsigned short)(nan ? (bits >> 16) | 0x40u : rounded >> 16)};
  }
};

// Neighbours along the last axis, numbered 0, 1, ...: lists of numbers instead of loops over them,
// which compilers take twice the time for.
template <class T, int... E> struct Vec { typedef T Element; T v[sizeof...(E)]; };
template <int... E> struct Numbers {};
template <int N, int... E> struct UpTo : UpTo<N - 1, N - 1, E...> {};
template <int... E> struct UpTo<0, E...> { typedef Numbers<E...> Each; };
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };

template <class T, int... E> DEVICE Vec<T, E...> load_each(const T* p, Numbers<E...>) {
  Pack<T, sizeof...(E)> pack = *reinterpret_cast<const Pack<T, sizeof...(E)>*>(p);
  return {{pack.v[E]...}};
}
template <int N, class T> DEVICE auto load(const T* p) {
  return load_each(p, typename UpTo<N>::Each());
}
template <class T, int... E> DEVICE void store(T* p, Vec<A, E...> a) {
  *reinterpret_cast<Pack<T, sizeof...(E)>*>(p) = {{Result<T>::of(a.v[E])...}};
}
template <class T, int... E> DEVICE Vec<T, E...> splat_each(T x, Numbers<E...>) {
  return {{((void)E, x)...}};
}
template <int N, class T> DEVICE auto splat(T x) {
  return splat_each(x, typename UpTo<N>::Each());
}
// Neighbours from FROM on, out of a row.
template <int FROM, class T, int M, int... E>
DEVICE Vec<T, E...> part_each(const T (&row)[M], Numbers<E...>) {
  return {{row[FROM + E]...}};
}
template <int N, int FROM, class T, int M> DEVICE auto part(const T (&row)[M]) {
  return part_each<FROM>(row, typename UpTo<N>::Each());
}
template <class T, int... E> DEVICE Vec<A, E...> val(Vec<T, E...> a) {
  return {{Cast<A>::of(a.v[E])...}};
}
template <class S, class T, int... E> DEVICE Vec<A, E...> sub(Vec<S, E...> a, Vec<T, E...> b) {
  return {{Cast<A>::of(a.v[E] - b.v[E])...}};
}
template <int... E> DEVICE Vec<A, E...> neg(Vec<A, E...> a) { return {{-a.v[E]...}}; }
template <int... E> DEVICE Vec<A, E...> add(Vec<A, E...> a, Vec<A, E...> b) {
  return {{a.v[E] + b.v[E]...}};
}
template <class S, int... E> DEVICE Vec<A, E...> mul(S s, Vec<A, E...> a) {
  return {{s * a.v[E]...}};
}
template <class S, int... E> DEVICE Vec<A, E...> mul(Vec<S, E...> s, Vec<A, E...> a) {
  return {{s.v[E] * a.v[E]...}};
}
template <class T, int... E> DEVICE Vec<T, E...> turned(Vec<T, E...> a, bool turns) {
  return {{turns ? -a.v[E] : a.v[E]...}};
}
DEVICE I least(I a, I b) { return a < b ? a : b; }
DEVICE I most(I a, I b) { return a < b ? b : a; }
// An index of an axis that wraps.
DEVICE I fold(I i, I n) { return i < 0 ? i + n : i >= n ? i - n : i; }
"""

_HALF = """
__device__ __forceinline__ float half_to_float(unsigned short bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
__device__ __forceinline__ unsigned short float_to_half(float x) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
"""

#: Conversions of half precision, which a host has its own of.
HALF = f"#ifndef GRADKIT_ON_HOST{_HALF}#endif"
