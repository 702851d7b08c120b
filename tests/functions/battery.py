"""The battery: functions, points and orders that are hard in one way each, and their derivatives.

An expression is evaluated twice: with NumPy's functions on floats, as users do, and with mpmath's
at 60 digits, which is the oracle. Points are exact binary numbers in both.
"""

from dataclasses import dataclass
from functools import cache

import mpmath
import numpy as np
from scipy import special

DIGITS = 60

NUMPY = {
    **{
        n: getattr(np, n)
        for n in ("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh")
    },
    **{"atan": np.arctan, "asin": np.arcsin, "log1p": np.log1p, "expm1": np.expm1, "pi": np.pi},
    **{"erf": special.erf, "gamma": special.gamma, "ncdf": special.ndtr, "j0": special.j0},
    **{"airyai": lambda x: special.airy(x)[0], "digamma": special.digamma, "sinc": np.sinc},
    "one": 1.0,
    "i": 1j,
}
MPMATH = {
    **{
        n: getattr(mpmath, n)
        for n in ("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh")
    },
    **{
        n: getattr(mpmath, n)
        for n in ("atan", "asin", "log1p", "expm1", "pi", "erf", "gamma", "ncdf")
    },
    **{"airyai": mpmath.airyai, "digamma": mpmath.digamma, "sinc": mpmath.sincpi},
    "j0": lambda x: mpmath.besselj(0, x),
    "one": mpmath.mpf(1),
    "i": mpmath.mpc(0, 1),
}


@dataclass(frozen=True)
class Case:
    """One derivative: an expression in x, a point, an order, a precision, noise added to values."""

    group: str
    expression: str
    x: float
    order: int = 1
    dtype: str = "float64"
    noise: float = 0.0

    def __str__(self):
        extra = f" {self.dtype}" if self.dtype != "float64" else ""
        noise = f" noise {self.noise:g}" if self.noise else ""
        return f"d{self.order} {self.expression} at {self.x:g}{extra}{noise}"

    @property
    def point(self):
        """The point in the precision of the case."""
        return np.dtype(self.dtype).type(self.x)

    def func(self, x):
        """The function as a user would write it; noise is a fixed function of x."""
        with np.errstate(all="ignore"):
            values = eval(self.expression, {**NUMPY, "x": x})
        if self.noise:
            bits = np.asarray(x, dtype=np.float64).view(np.uint64)
            mixed = (bits ^ (bits >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
            values = values + self.noise * ((mixed >> np.uint64(11)).astype(float) / 2**52 - 1)
        return values

    @property
    def exact(self):
        """The derivative, by mpmath, as a float or complex."""
        return _exact(self.expression, float(self.point), self.order)


@cache
def _exact(expression, x, order):
    code = compile(expression, expression, "eval")
    digits = DIGITS + (int(-mpmath.log10(abs(x))) if x else 0) * (abs(x) < 1)
    with mpmath.workdps(digits):

        def function(t):
            return eval(code, {**MPMATH, "x": t})

        x = mpmath.mpf(x)
        value = mpmath.diff(
            function, x, order, h=mpmath.mpf(10) ** (-(DIGITS // 3)) * (abs(x) or 1)
        )
        return complex(value) if isinstance(value, mpmath.mpc) else float(value)


def _cases(group, expressions, points, **options):
    return [Case(group, e, x, **options) for e in expressions for x in points]


SMOOTH = [
    "exp(x)",
    "sin(x)",
    "cos(x)",
    "x**2",
    "x**5 - 3*x**2 + 1",
    "atan(x)",
    "1/(1 + x**2)",
    "exp(-x**2)",
    "tanh(x)",
    "erf(x)",
    "log(1 + x**2)",
    "sqrt(1 + x**2)",
    "sinh(x)",
    "exp(sin(x))",
    "x*exp(-x)",
    "ncdf(x)",
    "1/(1 + exp(-x))",
    "x**3*cos(x)",
    "j0(x)",
    "airyai(x)",
    "cos(x)**2",
    "log(2 + sin(x))",
]

CASES = [
    *_cases("smooth", SMOOTH, (0.3, 1.7)),
    *_cases(
        "smooth",
        ["gamma(x)", "digamma(x)", "log(x)", "sqrt(x)", "x**2.5", "1/x", "x**x"],
        (0.7, 3.0),
    ),
    *_cases("oscillating", ["sin(20*x)", "cos(100*x)", "sin(x**2)", "sin(1000*x)"], (1.0, 2.3)),
    *_cases("oscillating", ["sin(1/x)"], (0.05, 0.01)),
    *_cases("oscillating", ["sin(1e6*x)", "x*sin(50*x)", "cos(8*pi*x)"], (1.0,)),
    *_cases(
        "steep",
        ["tanh(50*(x - 0.5))", "exp(20*x)", "1/(1 + exp(-100*x))", "exp(-1000*x**2)"],
        (0.5, 0.02),
    ),
    *_cases("steep", ["x**40", "exp(exp(x))", "1/(1 + 25*x**2)"], (1.1, 0.4)),
    *_cases("tiny x", ["exp(x)", "sin(x)", "log1p(x)", "log(1 + x)"], (1e-8, 1e-12)),
    *_cases("tiny x", ["log(x)", "sqrt(x)", "1/x", "x**1.5"], (1e-3, 1e-8, 1e-30)),
    *_cases("tiny x", ["log(1 + x)", "exp(x)", "x**2"], (1e-17, 1e-300)),
    *_cases("huge x", ["x**2", "log(x)", "1/x", "sqrt(x)", "x*log(x)"], (1e6, 1e20)),
    *_cases("huge x", ["sin(x)", "atan(x)"], (1e3, 1e6)),
    *_cases("huge x", ["exp(x)"], (100.0, 600.0)),
    *_cases("pole", ["tan(x)"], (1.5, 1.57)),
    *_cases("pole", ["1/(x - 1)", "log(x - 1)", "sqrt(x - 1)"], (1.001, 1.0001)),
    *_cases("pole", ["1/(x - 1)**2", "gamma(x)"], (0.99, 0.01)),
    *_cases("pole", ["asin(x)", "sqrt(1 - x**2)"], (0.999, 0.5)),
    *_cases(
        "zero",
        ["cos(x)", "x**2", "x**3", "x**4 + 1", "exp(-x**2)", "x - sin(x)", "one + 0*x"],
        (0.0,),
    ),
    *_cases(
        "zero",
        ["(x - 1)**3", "(x - 1)**2", "3 + 0*x", "cos(x - 1)", "(x - 1)**2*(x + 1)**2"],
        (1.0,),
    ),
    *_cases("noisy", ["sin(x)", "exp(x)", "x**3"], (0.4, 1.3), noise=1e-10),
    *_cases("noisy", ["cos(x)", "log(x)"], (0.8, 2.0), noise=1e-6),
    *_cases(
        "float32",
        ["exp(x)", "sin(x)", "x**3", "1/x", "log(x)", "tanh(x)"],
        (0.5, 2.0),
        dtype="float32",
    ),
    *_cases("float32", ["sqrt(x)", "log(x)"], (1e-3, 1e6), dtype="float32"),
    *_cases(
        "complex", ["exp(i*x)", "1/(x + i)", "exp((2 + 3*i)*x)", "x**2 + i*sin(x)"], (0.3, 1.5)
    ),
    *_cases(
        "order 2", ["exp(x)", "sin(x)", "x**4", "log(x)", "1/x", "sin(10*x)"], (0.6, 1.9), order=2
    ),
    *_cases("order 2", ["sin(2*pi*x)", "sin(4*pi*x)", "sin(16*pi*x)"], (1.0, -1.0), order=2),
    *_cases("order 2", ["x**3", "sin(x)"], (0.0,), order=2),
    *_cases("order 3", ["exp(x)", "sin(x)", "x**5", "1/x", "log(x)"], (0.6, 1.9), order=3),
    *_cases("order 4", ["exp(x)", "cos(x)", "x**6", "sqrt(x)"], (0.6, 1.9), order=4),
    *_cases("order 6", ["exp(x)", "sin(2*x)"], (0.6, 1.9), order=6),
]
