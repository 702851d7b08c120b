"""Derivatives of functions, and exact derivatives of series."""
