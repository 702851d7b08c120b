"""Kernels compiled by Numba: from the text of a kernel to machine code, as bytes that can be kept.

Numba makes a function of LLVM's language of the text. A few lines are added here that let Python
call it, and LLVM makes the machine code. Nothing of Numba is needed to run it: `loading` reads it
with LLVM alone, in a tenth of the time that it takes to import Numba.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gradkit.engines.cpu.element_source import common
from gradkit.engines.cpu.kernel_source import arrays, source
from gradkit.engines.cpu.key import Key

__all__ = [
    "ENTRY",
    "KernelError",
    "compiled_by_llvm",
    "has_fused_products",
    "has_half_precision",
    "has_long_vectors",
    "machine_code",
    "processor",
    "reason_against_compiling",
    "reason_against_numba",
    "target_machine",
]

#: The name of the function in machine code that Python calls.
ENTRY = "gradkit_kernel"
#: What it calls of Python: whole numbers are read, and the lock of the interpreter is released.
_PYTHON = ("PyLong_AsLongLong", "PyEval_SaveThread", "PyEval_RestoreThread", "Py_IncRef")


class KernelError(Exception):
    """There is no kernel; the message is the reason."""


@cache
def reason_against_numba() -> str | None:
    """None where LLVM and Numba are there to be used, else the reason with the remedy."""
    if find_spec("numba") is None:
        return 'has no kernels without numba: install it with pip install "gradkit[cpu]"'
    if os.environ.get("NUMBA_DISABLE_JIT", "").strip() not in ("", "0"):
        return "has no kernels where NUMBA_DISABLE_JIT is set"
    try:
        import_module("llvmlite.binding")
    except Exception as error:  # noqa: BLE001
        return f"has no kernels, because llvmlite cannot be imported: {error}"
    return None


@cache
def reason_against_compiling() -> str | None:
    """None where Numba compiles, else the reason; it takes as long as importing Numba does."""
    reason = reason_against_numba()
    if reason is not None:
        return reason
    try:
        from numba.core import config
    except Exception as error:  # noqa: BLE001
        # It refuses versions of NumPy that it does not know, for instance.
        return f"has no kernels, because numba cannot be imported: {error}"
    if getattr(config, "DISABLE_JIT", False):
        return "has no kernels where numba is told to compile nothing"
    return None


# --- the processor --------------------------------------------------------------------------------


@cache
def processor() -> tuple[str, str]:
    """The name of this processor and its features, or those that Numba's variables ask for."""
    from llvmlite import binding

    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        try:
            # Numba takes none of a processor that is asked for by this name.
            features = "" if name == "generic" else binding.get_host_cpu_features().flatten()
        except RuntimeError:
            features = ""  # LLVM does not know those of every processor
    return name or binding.get_host_cpu_name(), features


@cache
def has_half_precision() -> bool:
    """Whether this processor converts float16 by itself."""
    return _is_arm() or "+f16c" in processor()[1]


@cache
def has_fused_products() -> bool:
    """Whether this processor adds to a product before it rounds."""
    return _is_arm() or "+fma" in processor()[1].split(",")


@cache
def has_long_vectors() -> bool:
    """Whether this processor has vectors as long as a line of a cache, and many of them."""
    return "+avx512f" in processor()[1].split(",")


def _is_arm() -> bool:
    from llvmlite import binding

    return binding.get_process_triple().startswith(("aarch64", "arm64"))


def target_machine() -> Any:
    """What makes machine code for this process, and runs it; each is used for one kernel."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    name, features = processor()
    target = binding.Target.from_triple(binding.get_process_triple())
    # As Numba does: code that is made to run in this process lies at fixed addresses on x86.
    return target.create_target_machine(
        cpu=name,
        features=features,
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


# --- from the text to machine code ----------------------------------------------------------------


def machine_code(key: Key) -> bytes:
    """The machine code of a kernel, an object file with the function `ENTRY`.

    Raises
    ------
    KernelError
        If there is no Numba that compiles, or it does not compile this.
    """
    reason = reason_against_compiling()
    if reason is not None:
        raise KernelError(reason)
    return target_machine().emit_object(compiled_by_llvm(key))


def compiled_by_llvm(key: Key) -> Any:
    """The kernel in the language of LLVM, optimised, with the function that Python calls."""
    from llvmlite import binding

    names = _executed(source(key), _executed_once(common(key)))
    kernel = names["kernel"]
    module = binding.parse_assembly(kernel.inspect_llvm(kernel.signatures[0]))
    (function,) = (
        f for f in module.functions if not f.is_declaration and f.linkage.name == "external"
    )
    module.link_in(binding.parse_assembly(_entry(function.name, 3 + len(arrays(key)))))
    for each in module.functions:
        if each.is_declaration:
            if not each.name.startswith("llvm.") and each.name not in _PYTHON:
                # LLVM ends the process where it loads code that calls what is not there.
                raise KernelError(f"calls {each.name}, which is not part of it")
        elif each.name != ENTRY:
            each.linkage = "internal"
    module.verify()
    return module


def _executed(text: str, before: dict[str, Any]) -> dict[str, Any]:
    """The names of a text that comes after other names."""
    names = {**before, "__name__": "gradkit_kernel"}
    exec(compile(text, "<kernel>", "exec"), names)
    return names


@cache
def _executed_once(text: str) -> dict[str, Any]:
    """The names of what kernels have in common: it is compiled once."""
    return _executed(text, {})


def _entry(name: str, count: int) -> str:
    """A function for Python that calls the one of this name with so many whole numbers.

    It is one of CPython's "fast calls": `(self, arguments, number of arguments)`. Functions of
    Numba take two addresses before their arguments, of a result and of an error; kernels have none.
    """
    from llvmlite import ir

    pointer, number, nothing = ir.IntType(8).as_pointer(), ir.IntType(64), ir.VoidType()
    module = ir.Module()

    def function(name: str, result: Any, *arguments: Any) -> Any:
        return ir.Function(module, ir.FunctionType(result, arguments), name)

    addresses = pointer.as_pointer()
    kernel = function(name, ir.IntType(32), addresses, addresses, *[number] * count)
    as_number = function(_PYTHON[0], number, pointer)
    release = function(_PYTHON[1], pointer)
    acquire = function(_PYTHON[2], nothing, pointer)
    keep = function(_PYTHON[3], nothing, pointer)
    none = ir.GlobalVariable(module, ir.IntType(8), "_Py_NoneStruct")
    entry = function(ENTRY, pointer, pointer, addresses, number)

    builder = ir.IRBuilder(entry.append_basic_block())
    unused = [builder.alloca(pointer) for _ in range(2)]
    given = [builder.gep(entry.args[1], [number(i)]) for i in range(count)]
    numbers = [builder.call(as_number, [builder.load(place)]) for place in given]
    state = builder.call(release, [])
    builder.call(kernel, [*unused, *numbers])
    builder.call(acquire, [state])
    builder.call(keep, [none])
    builder.ret(none)
    return str(module)
