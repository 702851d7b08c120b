"""Methods: how to differentiate along one axis, one file per family."""

from gradkit.methods.finite_difference import FiniteDifference
from gradkit.methods.rule import Method, Rows, Rule

__all__ = ["FiniteDifference", "Method", "Rows", "Rule"]
