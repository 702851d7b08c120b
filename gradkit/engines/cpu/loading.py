"""Kernels ready to be called: from a file of machine code, which is compiled where there is none.

A file is named after all that its content depends on, begins with a checksum, and is put in place
whole, so that processes that do the same at the same time do not meet, and none runs what is
damaged.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

from gradkit.engines.cpu.compiling import (
    ENTRY,
    KernelError,
    machine_code,
    processor,
    reason_against_compiling,
    target_machine,
)
from gradkit.engines.cpu.element_source import common
from gradkit.engines.cpu.kernel_source import source
from gradkit.engines.cpu.key import Key

__all__ = ["Kernel", "cache_folder", "loaded"]

Kernel = Callable[..., None]

#: Changes with what Numba and LLVM are asked to make of a text.
_FORM = 1
_LOCK = RLock()
_KERNELS: dict[Key, Kernel] = {}
#: Why there is no kernel of a key.
_FAILURES: dict[Key, str] = {}
#: What kernels are made of, for as long as the process lives.
_KEPT: list[Any] = []
if hasattr(os, "register_at_fork"):
    # A process that forks while a thread compiles waits for it: the locks of Numba are held, too.
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


def cache_folder() -> Path:
    """Where kernels are kept: ``GRADKIT_CACHE_DIR``, or else in the user's folder for caches."""
    given = os.environ.get("GRADKIT_CACHE_DIR")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "gradkit"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/gradkit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradkit"


def loaded(key: Key, compiles: bool = True) -> Kernel:
    """The kernel of a key, read from the cache the first time, or compiled where `compiles`.

    Raises
    ------
    KernelError
        If there is none. Compiling is tried once; a kernel that Numba does not compile is told of
        by a warning.
    """
    kernel = _KERNELS.get(key)
    if kernel is None:
        with _LOCK:
            if key in _FAILURES:
                raise KernelError(_FAILURES[key])
            kernel = _KERNELS.get(key)
            if kernel is None:
                kernel = _KERNELS[key] = _load(key, compiles)
    return kernel


def _load(key: Key, compiles: bool) -> Kernel:
    path = _path(key)
    code = path and _kept(path)
    if code is None:
        if not compiles:
            raise KernelError("has no kernel that is compiled already")
        code = _compiled(key)
        if path is not None:
            with suppress(OSError):
                _keep(path, code)
    return _callable(code)


def _compiled(key: Key) -> bytes:
    reason = reason_against_compiling()
    if reason is None:
        try:
            return machine_code(key)
        except Exception as error:  # noqa: BLE001
            told = str(error).strip().partition("\n")[0] or type(error).__name__
            _FAILURES[key] = f"has no kernel that this version of numba compiles: {told}"
            # Results are right without it, but take longer than they should.
            warnings.warn(f"gradkit {_FAILURES[key]}", RuntimeWarning, stacklevel=2)
    else:
        _FAILURES[key] = reason
    raise KernelError(_FAILURES[key])


# --- files ----------------------------------------------------------------------------------------


def _path(key: Key) -> Path | None:
    """The file of a kernel; None for a user without a home."""
    # To import it takes a tenth of the time that gradkit itself does.
    from importlib.metadata import PackageNotFoundError, version

    versions: list[str] = []
    for package in ("numba", "llvmlite"):
        try:
            versions.append(version(package))
        except PackageNotFoundError:
            versions.append("as in this program")  # which is one file
    stamp = repr((_FORM, sys.platform, *versions, *processor(), common(key), source(key)))
    try:
        folder = cache_folder()
    except RuntimeError:
        return None
    return folder / f"kernel-{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.o"


def _kept(path: Path) -> bytes | None:
    """The machine code in a file, or None if it is not there, or not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == checksum else None


def _keep(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


# --- machine code that Python calls ---------------------------------------------------------------


class _Method(ctypes.Structure):
    """What CPython calls a `PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


#: CPython's METH_FASTCALL.
_FAST_CALL = 0x80


def _callable(code: bytes) -> Kernel:
    """The function of Python that machine code is."""
    from llvmlite import binding

    machine = target_machine()
    # One for each: the names of what kernels share may mean different things in two of them.
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    method = _Method(b"kernel", engine.get_function_address(ENTRY), _FAST_CALL, None)
    _KEPT.append((engine, method))
    # ctypes would take five times as long to call it.
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    return make(ctypes.addressof(method), None, None)
