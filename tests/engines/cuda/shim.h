// What CUDA C++ has and C++ has not: enough to run kernels without barriers, thread by thread.
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
// Functions are called, not inlined, which compiles several times as fast.
#define __attribute__(...)

struct Index3 { unsigned x, y, z; };
static Index3 threadIdx, blockIdx, blockDim, gridDim;

static inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
static inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
static inline float half_to_float(unsigned short bits) {
  _Float16 x;
  std::memcpy(&x, &bits, 2);
  return (float)x;
}
static inline unsigned short float_to_half(float x) {
  _Float16 y = (_Float16)x;
  unsigned short bits;
  std::memcpy(&bits, &y, 2);
  return bits;
}
