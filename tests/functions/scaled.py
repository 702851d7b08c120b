"""Badly scaled functions of vectors, at random, and their jacobians in extended precision.

Variables and values span twelve decades; a value is a sum of products of functions of one variable
each, which vary over lengths of about the size of that variable.
"""

from dataclasses import dataclass

import numpy as np

#: Functions of one number and their derivatives, evaluated in the precision of their argument.
PARTS = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda t: -np.sin(t)),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda t: 1 / np.cosh(t) ** 2),
    "square": (lambda t: t * t, lambda t: 2 * t),
    "cube": (lambda t: t * t * t, lambda t: 3 * t * t),
    "peak": (lambda t: 1 / (1 + t * t), lambda t: -2 * t / (1 + t * t) ** 2),
    "log": (lambda t: np.log1p(t * t), lambda t: 2 * t / (1 + t * t)),
    "line": (lambda t: t, np.ones_like),
}


@dataclass(frozen=True)
class Scaled:
    """One function of a vector, its point, and which of its entries are not 0."""

    x: np.ndarray
    terms: list  # per value, a list of (factor, [(variable, name, rate), ...])

    @property
    def pattern(self):
        """Where a value depends on a variable."""
        pattern = np.zeros((len(self.terms), len(self.x)), dtype=bool)
        for row, terms in enumerate(self.terms):
            for _, factors in terms:
                pattern[row, [variable for variable, _, _ in factors]] = True
        return pattern

    def __call__(self, z):
        """Values ``(values, points)`` in the precision of the points."""
        with np.errstate(all="ignore"):  # long steps may overflow
            return np.stack([self._sum(terms, z) for terms in self.terms])

    def _sum(self, terms, z):
        total = np.zeros_like(z[0])
        for factor, factors in terms:
            product = factor
            for variable, name, rate in factors:
                product = product * PARTS[name][0](rate * z[variable])
            total = total + product
        return total

    @property
    def jacobian(self):
        """The derivatives in longdouble."""
        x, found = self.x.astype(np.longdouble), np.zeros(self.pattern.shape, np.longdouble)
        for row, terms in enumerate(self.terms):
            for factor, factors in terms:
                for variable, name, rate in factors:
                    product = np.longdouble(factor) * rate * PARTS[name][1](rate * x[variable])
                    for other, name_of_other, rate_of_other in factors:
                        if other != variable:
                            product *= PARTS[name_of_other][0](rate_of_other * x[other])
                    found[row, variable] += product
        return found


def scaled(seed, dtype, size=24):
    """A function of `size` variables; each value depends on up to three neighbours."""
    random, number = np.random.default_rng(seed), np.dtype(dtype).type
    x = (random.choice([-1, 1], size) * 10 ** random.uniform(-6, 6, size)).astype(dtype)
    names = list(PARTS)

    def factor(variable):
        name = names[random.integers(len(names))]
        rate = random.uniform(0.2, 3) * (1 if name == "exp" else 10 ** random.uniform(0, 1))
        return variable, name, number(rate / float(abs(x[variable])))

    terms = []
    for row in range(size):
        near = [(row - 1) % size, row, (row + 1) % size]
        counts = random.integers(1, 3, random.integers(1, 4))
        products = [
            [factor(int(v)) for v in random.choice(near, count, replace=False)] for count in counts
        ]
        terms.append([(number(10 ** random.uniform(-6, 6)), product) for product in products])
    return Scaled(x, terms)
