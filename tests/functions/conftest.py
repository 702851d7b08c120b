"""Markers that SciPy's tests put on themselves; pytest is strict about unknown ones."""

MARKERS = ("skip_xp_backends", "xfail_xp_backends", "uses_xp_capabilities", "array_api_backends")


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", f"{marker}: used by the tests that SciPy installs")
