"""What all Numba kernels share: the text before that of a kernel.

Elements are read and written at addresses, because Numba lets indices of arrays count from the
end, which keeps loops from being vectorised. What is written is marked to be apart from all that
is read, so that no loop checks for overlaps. `stream` writes lines of a cache past the caches.
"""

from __future__ import annotations

__all__ = ["LINE", "PREAMBLE"]

#: Bytes of a line of a cache.
LINE = 64

PREAMBLE = '''\
from llvmlite import ir
from numba import float32, float64, int8, int16, int32, int64, njit, types
from numba import uint8, uint16, uint32, uint64, void
from numba.extending import intrinsic

LINE = 64
# Functions that only kernels call are part of these.
inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def marked(builder, instruction, word):
    """Mark an instruction: what is written ("alias.scope") is not what is read ("noalias")."""
    module = builder.module
    domain = module.add_metadata(["gradkit"])
    scope = module.add_metadata([module.add_metadata(["written", domain])])
    instruction.set_metadata(word, scope)
    return instruction


def place(context, builder, element, address, index):
    kind = context.get_data_type(element)
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def reader(element, is_apart=True):
    """A function that reads the element with an index from an address on."""

    @intrinsic
    def read(context, address, index):
        def code(context, builder, signature, args):
            value = builder.load(place(context, builder, element, *args))
            return marked(builder, value, "noalias") if is_apart else value

        return element(int64, int64), code

    return read


def writer(element):
    """A function that writes an element."""

    @intrinsic
    def write(context, address, index, value):
        def code(context, builder, signature, args):
            store = builder.store(args[2], place(context, builder, element, *args[:2]))
            marked(builder, store, "alias.scope")
            return context.get_dummy_value()

        return void(int64, int64, element), code

    return write


@intrinsic
def read_half(context, address, index):
    """A float16 as a float32."""

    def code(context, builder, signature, args):
        address = builder.inttoptr(args[0], ir.HalfType().as_pointer())
        value = marked(builder, builder.load(builder.gep(address, [args[1]])), "noalias")
        return builder.fpext(value, ir.FloatType())

    return float32(int64, int64), code


@intrinsic
def write_half(context, address, index, value):
    """A float32 as a float16."""

    def code(context, builder, signature, args):
        address = builder.inttoptr(args[0], ir.HalfType().as_pointer())
        value = builder.fptrunc(args[2], ir.HalfType())
        marked(builder, builder.store(value, builder.gep(address, [args[1]])), "alias.scope")
        return context.get_dummy_value()

    return void(int64, int64, float32), code


@intrinsic
def move_line(context, target, source):
    """Write a line of a cache past the caches."""

    def code(context, builder, signature, args):
        kind = ir.VectorType(ir.IntType(64), 4)
        target, source = (builder.inttoptr(a, kind.as_pointer()) for a in args)
        yes = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        for half in range(2):
            at = [ir.Constant(ir.IntType(64), half)]
            value = builder.load(builder.gep(source, at), align=8)
            store = builder.store(value, builder.gep(target, at), align=32)
            store.set_metadata("nontemporal", yes)
        return context.get_dummy_value()

    return void(int64, int64), code


@intrinsic
def finish_writing(context):
    """Let other threads see what was written past the caches."""

    def code(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return void(), code


R = {real}
SIZE = {size}
read_R = reader(R)
again = reader(R, is_apart=False)
write = writer(R)
entry = reader(int64)


@inner
def stream(target, source, count):
    """Write reals past the caches, all but those of the last line, which are held back.

    Returns their number; they are moved to where the source begins.
    """
    x = 0
    while x < count and (target + x * SIZE) & (LINE - 1):
        write(target, x, again(source, x))
        x += 1
    while x + LINE // SIZE <= count:
        move_line(target + x * SIZE, source + x * SIZE)
        x += LINE // SIZE
    for y in range(count - x):
        write(source, y, again(source, x + y))
    return count - x


@inner
def release(target, source, count):
    """Write reals that were held back: those before the target."""
    for x in range(count):
        write(target - count * SIZE, x, again(source, x))
'''
