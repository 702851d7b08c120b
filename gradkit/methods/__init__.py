"""Methods: how to differentiate along one axis, one file per family."""

from gradkit.methods.finite_difference import FiniteDifference
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.methods.rule import CORRECTION, Method, Rule, unit_of
from gradkit.methods.walls import is_open
from gradkit.methods.weighted import weighted_rule

__all__ = [
    "CORRECTION",
    "WALL",
    "FiniteDifference",
    "Method",
    "Point",
    "Rows",
    "Rule",
    "is_open",
    "unit_of",
    "weighted_rule",
]
