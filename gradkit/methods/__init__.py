"""Methods: how to differentiate along one axis, one file per family."""

from gradkit.methods.finite_difference import FiniteDifference
from gradkit.methods.rule import WALL, Method, Point, Rows, Rule
from gradkit.methods.weighted import weighted_rule

__all__ = ["WALL", "FiniteDifference", "Method", "Point", "Rows", "Rule", "weighted_rule"]
