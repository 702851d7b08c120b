"""Division by a number that is known before, as a product: to the same bits, in less time.

With ``high + low`` for the reciprocal of d, ``x * high + x * low``, rounded once more than the
second product, is off x / d by a few units in twice the digits of x. No quotient lies on the
middle between two neighbouring numbers, and few numbers x have one that lies as close to it: these
can be listed for every d, and tried (after Brisebarre and Muller [1]_, whose method is for any
constant).

References
----------
.. [1] N. Brisebarre, J.-M. Muller, Correctly rounded multiplication by arbitrary precision
   constants, IEEE Trans. Comput. 57 (2008) 165-174.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import frexp, ldexp

import numpy as np

__all__ = ["reciprocal", "reciprocal_in"]

#: Twice what may come out wrong: as `low` and its product with x are each off by half a unit of
#: their last digit, ``x * 2**shift - m * d`` (see `_close_to_a_middle`) is less than ``8 * low``
#: where a product is on the other side of a middle. More than ``5 * low`` is met.
_NEAR = 16


def reciprocal_in(dtype: np.dtype, divisor: float) -> tuple[float, float] | None:
    """The two parts of a reciprocal that make products to the bits of quotients, if there are.

    Quotients of less than 4e-30 in float32 and 4e-291 in float64 are excepted: they may differ by
    one unit of their last digit, because the second product may have fewer digits. It has all of
    them from ``2**(minexp + digits + 4)`` on where the second part is 1/16 or more, in the units
    of `reciprocal`; where it is less, there is no x close to a middle, and room for such an error.
    What is summed up or multiplied afterwards may differ by more units of a smaller, or a larger,
    result.
    """
    limits = np.finfo(dtype)
    digits = limits.nmant + 1
    # The second part is at least as large as the smallest number with all digits.
    largest = 2.0 ** (-int(limits.minexp) - 2 * digits)
    stored = float(dtype.type(divisor))
    if not float(limits.tiny) <= abs(stored) <= largest:
        return None
    return reciprocal(stored, digits)


@lru_cache(maxsize=1024)
def reciprocal(divisor: float, digits: int) -> tuple[float, float] | None:
    """Two parts that add up to the reciprocal of a number of so many binary digits.

    ``x * high + x * low``, where the second product is rounded and then the sum, is the rounded
    quotient for every x of as many digits; None if it is not. Both parts have the sign of the
    divisor, so that the signs of zeros and infinities are those of the quotient, too.
    """
    mantissa, exponent = frexp(abs(divisor))
    d = int(ldexp(mantissa, digits))
    # All that follows is in units of 1 over 2**(2 * digits - 1).
    one = 1 << 2 * digits - 1
    high = (one - 1) // d
    low = _rounded(Fraction(one - high * d, d), digits)
    for x in _close_to_a_middle(d, low, digits):
        product = _rounded(x * high + _rounded(x * low, digits), digits)
        if product != _rounded(Fraction(x * one, d), digits):
            return None
    unit = digits - exponent - (2 * digits - 1)
    sign = 1 if divisor > 0 else -1
    return sign * ldexp(high, unit), sign * ldexp(float(low), unit)


def _close_to_a_middle(d: int, low: Fraction, digits: int) -> Iterator[int]:
    """The numbers whose quotients by d lie next to the middle between two neighbours.

    A middle is m / 2**digits or half of that, for odd m of one digit more, and
    ``x * 2**shift - m * d`` is a whole number: how far away it is.
    """
    zeros = (d & -d).bit_length() - 1
    odd = d >> zeros
    for shift in (digits, digits + 1):
        modulus = 1 << shift - zeros
        inverse = pow(odd, -1, modulus)
        for distance in range(1, int(_NEAR * low) + 1):
            if distance % (1 << zeros):
                continue
            for k in (distance, -distance):
                first = -(k >> zeros) * inverse % modulus
                for m in range(first, 2 << digits, modulus):
                    x = (m * d + k) >> shift
                    if m % 2 and m >> digits and x >> digits - 1 == 1:
                        yield x


def _rounded(value: Fraction | int, digits: int) -> Fraction:
    """The nearest number of so many digits, the even one of two."""
    value = Fraction(value)
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - digits
    unit = Fraction(2) ** exponent
    if round(value / unit).bit_length() > digits:
        unit *= 2
    return round(value / unit) * unit
