"""Kernels from their text: written to a folder of the user, compiled by Numba, and kept there.

A file is named after all of its text and the version of Numba, and put in place whole, so that
processes that do the same at the same time do not meet.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

from gradkit.engines.cpu.element_source import common
from gradkit.engines.cpu.kernel_source import source
from gradkit.engines.cpu.key import Key

__all__ = ["KernelError", "cache_folder", "has_half_precision", "loaded", "reason_against_numba"]

Kernel = Callable[..., None]

_LOCK = RLock()
_KERNELS: dict[Key, Kernel] = {}
#: Why there is no kernel of a key.
_FAILURES: dict[Key, str] = {}
if hasattr(os, "register_at_fork"):
    # A process that forks while a thread compiles waits for it: the locks of Numba are held, too.
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


class KernelError(Exception):
    """Numba does not compile a kernel; the message is the reason why there is none."""


@cache
def reason_against_numba() -> str | None:
    """None where Numba can be used, else the reason with the remedy."""
    if find_spec("numba") is None:
        return 'has no kernels without numba: install it with pip install "gradkit[cpu]"'
    try:
        from numba.core import config
    except Exception as error:  # noqa: BLE001
        # It refuses versions of NumPy that it does not know, for instance.
        return f"has no kernels, because numba cannot be imported: {error}"
    if getattr(config, "DISABLE_JIT", False):
        return "has no kernels where NUMBA_DISABLE_JIT is set"
    return None


@cache
def has_half_precision() -> bool:
    """Whether this processor converts float16 by itself."""
    from numba.core.codegen import get_host_cpu_features

    return "+f16c" in get_host_cpu_features() or platform.machine() in ("aarch64", "arm64")


def cache_folder() -> Path:
    """Where kernels are kept: ``GRADKIT_CACHE_DIR``, or else in the user's folder for caches."""
    given = os.environ.get("GRADKIT_CACHE_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "gradkit"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/gradkit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradkit"


def loaded(key: Key) -> Kernel:
    """The kernel of a key, compiled or read from the cache the first time.

    Raises
    ------
    KernelError
        If it does not compile. It is tried once, and told of by a warning.
    """
    kernel = _KERNELS.get(key)
    if kernel is None:
        with _LOCK:
            if key in _FAILURES:
                raise KernelError(_FAILURES[key])
            kernel = _KERNELS.get(key)
            if kernel is None:
                kernel = _KERNELS[key] = _load(key)
    return kernel


def _load(key: Key) -> Kernel:
    try:
        before = _module(common(key), {}, True)
        return _module(source(key), before, True)["kernel"]
    except Exception:  # noqa: BLE001
        # The folder cannot be written to, or Numba cannot read what is there. What is wrong with
        # the text itself comes up again.
        pass
    try:
        return _module(source(key), _module(common(key), {}, False), False)["kernel"]
    except Exception as error:
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        _FAILURES[key] = f"has no kernel that this version of numba compiles: {told}"
        # Results are right without it, but take longer than they should.
        warnings.warn(f"gradkit {_FAILURES[key]}", RuntimeWarning, stacklevel=2)
        raise KernelError(_FAILURES[key]) from error


def _module(text: str, before: dict[str, Any], is_kept: bool) -> dict[str, Any]:
    """The names of a text that comes after other names, as a module that Numba finds again."""
    stamp = (before.get("__name__", ""), _numba_version(), sys.implementation.cache_tag, text)
    name = f"gradkit_kernel_{hashlib.sha256(repr(stamp).encode()).hexdigest()[:24]}"
    if name in sys.modules:
        return sys.modules[name].__dict__
    path = _written(name, text) if is_kept else Path(name)
    module = types.ModuleType(name)
    module.__dict__.update({**before, "__name__": name, "__file__": str(path), "CACHE": is_kept})
    # Numba looks for it there.
    sys.modules[name] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module.__dict__


def _numba_version() -> str:
    import numba

    return numba.__version__


def _written(name: str, text: str) -> Path:
    """The file of a text, put in place whole if it is new."""
    folder = cache_folder()
    path = folder / f"{name}.py"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(path)
    return path
