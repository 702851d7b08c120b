"""What a Numba kernel is made for: a `Key` has all that changes its text."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DTYPES", "MOST_DIFFERENCES", "End", "Key", "Pair", "Term"]

#: Dtypes of elements that kernels read.
DTYPES = (
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)

#: Differences near the ends of a line, at most, that are written out one by one.
MOST_DIFFERENCES = 72


class Pair(NamedTuple):
    """A difference of values as the text has it: of two points by number, or of one and nothing.

    `weight` is "" for 1, "number", or "column" for one per row.
    """

    high: int | None
    low: int | None
    weight: str


class End(NamedTuple):
    """Differences at one element near an end of a line, or in one row near a face.

    `pairs` are the places of the high and the low value along the axis of the input, if there are
    any, negative ones from its end, and whether the difference has a weight. There is none in rows
    that are 0.
    """

    pairs: tuple[tuple[int | None, int | None, bool], ...]
    divisors: int


class Term(NamedTuple):
    """One term of a sum: differences along an axis, over divisors, times arrays and a number.

    `split` are the low bits of integers that are differenced apart, `is_unit` tells whether
    neighbours along the last axis are neighbours in memory, `products` which arrays vary along it;
    `known` is the number of arrays that are known along walls; `ends` are its differences at the
    places that `Key.ends` names, if they are taken along lines, else those of all rows that are not
    in the middle, the first `before` of them before it, if these are written out; `leads` tells
    whether no other term needs elements of the same input sooner; `field` is the first term of the
    same input.
    """

    dtype: str
    split: int
    is_unit: bool
    axis: int
    pairs: tuple[Pair, ...]
    divisors: int
    products: tuple[bool, ...]
    known: int
    has_factor: bool
    ends: tuple[End, ...]
    before: int
    leads: bool
    field: int


class Key(NamedTuple):
    """All that changes the text of a kernel.

    Attributes
    ----------
    ndim : int
        Number of axes, after merging.
    real : str
        Dtype in which differences and sums are formed: that of the parts of complex numbers.
    result : str
        Dtype of the result, or of its parts.
    is_complex : bool
        Whether reals are parts of complex numbers, which NumPy divides by way of a reciprocal.
    is_direct : bool
        Whether sums are formed in the result: it has their dtype, and no gaps along a line.
    lanes : int
        How many elements are taken at once where nothing has gaps along a line, and as many of it
        are written out: as many as a line of the cache has, or half or a quarter of it; 0 for none.
    is_past : bool
        Whether lanes are written past the caches.
    terms : tuple of Term
        What is added up.
    divisors : int
        How many numbers the sum is over.
    points : tuple of int
        The first term that needs a point, for every point of the inputs near an element.
    ends : tuple of int
        Places near the ends of a line, negative ones from its end, that are written out one by one.
    together : tuple of int
        The offsets of all points, if several lines are taken together that share points.
    has_reciprocals : bool
        Whether the numbers that are divided by come as the parts of reciprocals: see `quotients`.
    """

    ndim: int
    real: str
    result: str
    is_complex: bool
    is_direct: bool
    lanes: int
    is_past: bool
    terms: tuple[Term, ...]
    divisors: int
    points: tuple[int, ...]
    ends: tuple[int, ...]
    together: tuple[int, ...]
    has_reciprocals: bool
