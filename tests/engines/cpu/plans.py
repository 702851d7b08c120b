"""Plans of every kind on small NumPy arrays, and inputs for them."""

import numpy as np

import gradkit
from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Neumann,
    Robin,
    use_engine,
)

rng = np.random.default_rng(20)
SHAPE = (7, 6, 9)
UNEVEN = tuple(np.cumsum(rng.uniform(0.5, 1.5, n)) for n in SHAPE)


def grid(**options):
    return Grid(*(Axis(spacing=h, **options) for h in (0.5, -0.3, 0.7)))


COORDINATES = Grid(*(Axis(coordinates=x) for x in UNEVEN))
EQUAL = Grid(*(Axis(spacing=0.3) for _ in SHAPE))
EQUAL_WALLS = Grid(
    Axis(spacing=0.3, boundary="antiperiodic"),
    Axis(spacing=0.3, boundary=(Dirichlet(2.0), Neumann(0.25))),
    Axis(spacing=0.3),
)
MIXED = Grid(
    Axis(spacing=0.5, boundary="periodic"),
    Axis(spacing=0.3, boundary=(Dirichlet(2.0), Robin(1.0, 0.5, 0.25))),
    Axis(coordinates=UNEVEN[2], boundary=(Neumann(0.5), "one-sided")),
)
PLANS = {
    "axis 0": D(0).on(grid(), SHAPE),
    "axis 1": D(1).on(grid(), SHAPE),
    "axis 2": D(2).on(grid(), SHAPE),
    "order 3 of accuracy 2 along the last axis": D(2, 3).on(grid(), SHAPE),
    "accuracy 4": Gradient(3).on(grid(), SHAPE, method=FiniteDifference(accuracy=4)),
    "coordinates": Gradient(3).on(COORDINATES, SHAPE),
    "periodic": Gradient(3).on(grid(boundary="periodic"), SHAPE),
    "antiperiodic": Laplacian(3).on(grid(boundary="antiperiodic"), SHAPE),
    "walls": Laplacian(3).on(MIXED, SHAPE),
    "laplacian": Laplacian(3).on(grid(), SHAPE),
    "laplacian on equal spacings": Laplacian(3).on(EQUAL, SHAPE),
    "laplacian on equal spacings, walls": Laplacian(3).on(EQUAL_WALLS, SHAPE),
    "adjoint on equal spacings": Gradient(3).on(EQUAL, SHAPE).T,
    "hessian": Hessian(3).on(grid(), SHAPE),
    "hessian at walls": Hessian(3).on(MIXED, SHAPE),
    "divergence": Divergence(3).on(COORDINATES, SHAPE),
    "curl": Curl(3).on(MIXED, SHAPE),
    "staggered": Divergence(3, at="outer").on(grid(), SHAPE),
    "to faces": Gradient(3, to="outer").on(
        Grid(*(Axis(spacing=0.5, boundary=Dirichlet(1.0)) for _ in SHAPE)), SHAPE
    ),
    "an array in front and within": (
        rng.random(SHAPE) * D(0) @ (rng.random((1, 6, 1)) * D(1)) + 2 * D(2)
    ).on(grid(), SHAPE),
    "identity": gradkit.Identity().on(grid(), SHAPE),
    "adjoint": Gradient(3).on(COORDINATES, SHAPE).T,
    "block": Laplacian(3)
    .on(grid(boundary="antiperiodic"), SHAPE)
    .block(((0, 3), (2, 5), (4, 9)), (1, 1, 1)),
}
DTYPES = ["float32", "float64", "float16", ">f8", "complex64", "int8", "uint16", "int64", "uint64"]


def inputs_of(plan, dtype):
    found = []
    for shape in plan.input_shapes:
        values = rng.integers(0, 100, shape).astype(dtype)
        if np.dtype(dtype).kind not in "iu":
            values = (values + rng.random(shape)).astype(dtype)
        if np.dtype(dtype).kind == "c":
            values = values + (1j * rng.random(shape)).astype(dtype)
        found.append(values)
    return found


def results_of(plan, inputs, engine, out=None):
    with use_engine(engine):
        found = plan(inputs if len(inputs) > 1 else inputs[0], out=out)
    return found if isinstance(found, tuple) else (found,)


def assert_gaps_are_left_alone(plan):
    """Inputs in any order and with gaps give what they should, and so do results between gaps."""
    inputs = [np.asfortranarray(f) for f in inputs_of(plan, "float64")]
    inputs[0] = np.repeat(inputs[0], 2, axis=2)[:, :, ::-2]
    room = [np.full((*shape[:-1], 2 * shape[-1] + 2), 7.0) for shape in plan.output_shapes]
    out = tuple(values[..., 1:-1:2] for values in room)
    wanted = results_of(plan, inputs, "reference")
    results_of(plan, inputs, "cpu", out if len(out) > 1 else out[0])
    for ours, theirs, values in zip(out, wanted, room, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (values[..., 0::2] == 7).all()
        assert (values[..., -1] == 7).all()
