"""The CPU engine."""

__all__: list[str] = []
