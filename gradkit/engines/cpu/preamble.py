"""What all Numba kernels share: the text before that of a kernel.

Elements are read and written at addresses, because Numba lets indices of arrays count from the
end, which keeps loops from being vectorised. What is written is marked to be apart from all that
is read, so that no loop checks for overlaps.

Where loops can, they take lanes: vectors of as many reals as a line of the cache holds, which
`write_line` writes past the caches at once. Compilers would not do so by themselves. The operators
of Python take lanes as they take reals, so the text of a formula is the same for both.
"""

from __future__ import annotations

__all__ = ["LINE", "PREAMBLE"]

#: Bytes of a line of a cache.
LINE = 64

PREAMBLE = '''\
import operator

from llvmlite import ir
from numba import float32, float64, int8, int16, int32, int64, njit, types
from numba import uint8, uint16, uint32, uint64, void
from numba.extending import intrinsic, models, overload, register_model

LINE = 64
HOW = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# Functions that only kernels call are part of these.
inner = njit(**HOW)
inlined = njit(forceinline=True, **HOW)


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
def fetch(context, address):
    """Ask the second cache for its line at an address, which may be anywhere."""

    def code(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        # To read; what is not needed at once is not for the first cache; data.
        how = [ir.Constant(word, n) for n in (0, 2, 1)]
        builder.call(function, [builder.inttoptr(args[0], byte), *how])
        return context.get_dummy_value()

    return void(int64), code


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


class Lanes(types.Type):
    """Reals that are taken at once: as many as a line of the cache holds, or fewer."""


LANES = {lanes}
lanes = Lanes("lanes")
VECTOR = ir.VectorType(ir.FloatType() if R == float32 else ir.DoubleType(), LANES)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


def int32_of(number):
    return ir.Constant(ir.IntType(32), number)


def same_lanes(builder, value):
    """Lanes that are all the same real."""
    first = builder.insert_element(VECTOR(ir.Undefined), value, int32_of(0))
    same = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, VECTOR(ir.Undefined), same)


def operation(symbol, name):
    """Let an operator take lanes, or lanes and a real."""

    @intrinsic
    def apply(context, a, b):
        def code(context, builder, signature, args):
            values = []
            for kind, value in zip(signature.args, args):
                values.append(value if kind == lanes else same_lanes(builder, value))
            return getattr(builder, name)(*values)

        return lanes(a, b), code

    @overload(symbol)
    def chosen(a, b):
        if lanes in (a, b) and {a, b} <= {lanes, R}:
            return lambda a, b: apply(a, b)


operation(operator.add, "fadd")
operation(operator.sub, "fsub")
operation(operator.mul, "fmul")
operation(operator.truediv, "fdiv")


@intrinsic
def quotient(context, value, high, low):
    """A real, or lanes, times a reciprocal in two parts: rounded once more than `value * low`."""

    def code(context, builder, signature, args):
        name, kind = f"llvm.fma.f{8 * SIZE}", args[1].type
        if value == lanes:
            name, kind = f"llvm.fma.v{LANES}f{8 * SIZE}", VECTOR
            args = [args[0], *(same_lanes(builder, part) for part in args[1:])]
        form = ir.FunctionType(kind, [kind] * 3)
        function = builder.module.globals.get(name) or ir.Function(builder.module, form, name)
        return builder.call(function, [*args[:2], builder.fmul(args[0], args[2])])

    return value(value, R, R), code


@intrinsic
def negative(context, a):
    def code(context, builder, signature, args):
        return builder.fneg(args[0])

    return lanes(a), code


@overload(operator.neg)
def negated(a):
    if a == lanes:
        return lambda a: negative(a)


def line_reader(element, convert, is_apart=True):
    """A function that reads lanes from the element with an index from an address on."""

    @intrinsic
    def read(context, address, index):
        def code(context, builder, signature, args):
            is_half = element == types.float16
            kind = ir.HalfType() if is_half else context.get_data_type(element)
            at = builder.gep(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
            line = builder.bitcast(at, ir.VectorType(kind, LANES).as_pointer())
            value = builder.load(line, align=element.bitwidth // 8)
            value = marked(builder, value, "noalias") if is_apart else value
            return convert(builder, value)

        return lanes(int64, int64), code

    return read


def number_of(kind):
    """What makes lanes of elements of a kind."""

    def convert(builder, value):
        if kind == R:
            return value
        if isinstance(kind, types.Float):
            return (builder.fpext if kind.bitwidth < R.bitwidth else builder.fptrunc)(value, VECTOR)
        return (builder.sitofp if kind.signed else builder.uitofp)(value, VECTOR)

    return convert


def bits_of(kind, split, is_high):
    """What makes lanes of the high or the low bits of integers."""

    def convert(builder, value):
        wide = ir.VectorType(ir.IntType(64), LANES)
        value = (builder.sext if kind.signed else builder.zext)(value, wide)
        number = ir.Constant(wide, [split if is_high else (1 << split) - 1] * LANES)
        if not is_high:
            return builder.sitofp(builder.and_(value, number), VECTOR)
        if kind.signed:
            return builder.sitofp(builder.ashr(value, number), VECTOR)
        return builder.uitofp(builder.lshr(value, number), VECTOR)

    return convert


@intrinsic
def write_line(context, address, index, value):
    """Write lanes to a line of a cache, past the caches."""

    def code(context, builder, signature, args):
        at = place(context, builder, R, *args[:2])
        store = builder.store(args[2], builder.bitcast(at, VECTOR.as_pointer()), align=LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([int32_of(1)]))
        marked(builder, store, "alias.scope")
        return context.get_dummy_value()

    return void(int64, int64, lanes), code


@intrinsic
def keep(context, address, index, value):
    """Write lanes from the element with an index from an address on."""

    def code(context, builder, signature, args):
        at = place(context, builder, R, *args[:2])
        store = builder.store(args[2], builder.bitcast(at, VECTOR.as_pointer()), align=SIZE)
        marked(builder, store, "alias.scope")
        return context.get_dummy_value()

    return void(int64, int64, lanes), code


@intrinsic
def nothing(context):
    """Lanes that nobody reads."""

    def code(context, builder, signature, args):
        return VECTOR(ir.Undefined)

    return lanes(), code


line_R = line_reader(R, number_of(R))
line_again = line_reader(R, number_of(R), is_apart=False)


@inner
def run_with(row, runs, r):
    """The run of a row, the r-th in the tables or one after it."""
    run = runs + r * {run}
    while row >= entry(run, 1):
        run += {run}
    return run


@inner
def release(line, first, filled, held):
    """Write what is held back of a line, element by element."""
    for x in range(first, filled):
        write(line, x, again(held, x))


@inner
def begun(address, line, first, filled, held):
    """Go on at an address: the line of the cache, and the elements that are held back of it."""
    if address != line + filled * SIZE:
        release(line, first, filled, held)
        first = filled = (address & (LINE - 1)) // SIZE
        line = address - filled * SIZE
    return line, first, filled


@inner
def flushed(line, first, filled, held):
    """Write the lines that are full, and hold back the rest."""
    full = filled // LANES
    for k in range(full):
        if first:
            release(line, first, LANES, held)
            first = int64(0)
        else:
            write_line(line, 0, line_again(held + k * LINE, 0))
        line += LINE
    if full:
        keep(held, 0, line_again(held + full * LINE, 0))
    return line, first, filled - full * LANES
'''
