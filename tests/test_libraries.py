"""What the capability table promises, on every array library."""

import tomllib
from fractions import Fraction

import numpy as np
import pytest

import gradkit
from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    D,
    Dirichlet,
    Gradient,
    Grid,
    Neumann,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.capabilities import LIBRARIES, as_markdown
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError

CLAIMS = {library.name: library for library in LIBRARIES}
UNEVEN = [0.0, 0.5, 2.0, 2.25, 3.0, 5.0]


def on(name):
    """Run a test on one library."""
    return pytest.mark.parametrize("library", [name], indirect=True)


def flat(result):
    """The arrays of a result, from nested tuples."""
    return [a for part in result for a in flat(part)] if isinstance(result, tuple) else [result]


#: Name -> call on an array, shape of it; the operators that all libraries are put through.
CALLS = {
    "gradient": (lambda f: gradkit.gradient(f, 0.5, 0.3), (5, 4)),
    "gradient on coordinates": (lambda f: gradkit.gradient(f, UNEVEN, axis=0), (6, 2)),
    "second derivative": (lambda f: gradkit.derivative(f, 0.3, order=2), (2, 5)),
    "second derivative on coordinates": (
        lambda f: gradkit.derivative(f, UNEVEN, axis=0, order=2),
        (6, 2),
    ),
    "periodic": (
        lambda f: gradkit.derivative(f, 0.3, axis=0, accuracy=4, boundary="periodic"),
        (6, 2),
    ),
    "antiperiodic": (lambda f: gradkit.derivative(f, 0.3, boundary="antiperiodic"), (2, 5)),
    "periodic coordinates": (
        lambda f: gradkit.derivative(f, UNEVEN, boundary="periodic", period=6.0),
        (2, 6),
    ),
    "laplacian": (lambda f: gradkit.laplacian(f, 0.5, 0.3), (4, 5)),
    "hessian": (lambda f: gradkit.hessian(f, 0.5, 0.3), (4, 4)),
    "divergence": (lambda v: gradkit.divergence(v, 0.5, 0.3), (2, 4, 3)),
    "curl, two dimensions": (lambda v: gradkit.curl(v, 0.5, 0.3), (2, 4, 3)),
    "curl, three dimensions": (lambda v: gradkit.curl(v, 0.5, 0.3, 0.7), (3, 3, 3, 3)),
    "jacobian": (lambda v: gradkit.jacobian(v, 0.5, 0.3), (2, 4, 3)),
    "identity beside derivatives": (
        (D(0) * D(1) + 0.5 * D(1, 2) - 2).on(Grid(Axis(0.5), Axis(0.3)), (3, 4)),
        (3, 4),
    ),
    "diff": (lambda a: gradkit.diff(a, n=2, axis=0), (4, 3)),
}


def roundings(name, wanted, engine="auto"):
    """Tolerance: none, but where compilers fuse products and sums: JAX's, and that of kernels."""
    fuses = name == "jax" or (name == "cupy" and engine == "auto")
    return 16 * np.spacing(abs(wanted).max()) if fuses else 0


# --- the table ----------------------------------------------------------------------------------


def test_table_lists_the_libraries_that_the_tests_run_on(library):
    assert library.kind in CLAIMS


def test_table_prints_one_line_per_library():
    lines = as_markdown().splitlines()
    assert len(lines) == 2 + len(LIBRARIES)
    assert len({line.count("|") for line in lines}) == 1
    for line, claim in zip(lines[2:], LIBRARIES, strict=True):
        assert line.startswith(f"| {claim.title} |")


def test_extras_named_in_the_table_exist(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for claim in LIBRARIES:
        package, bracket, extra = claim.install.removesuffix("]").partition("[")
        if bracket:
            assert package == "gradkit"
            assert extra in project["optional-dependencies"]


# --- every function on every library ------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "float64") for name in CALLS), ("gradient on coordinates", "float32")],
)
def test_result_has_library_dtype_and_numbers_of_the_input(library, name, dtype, engine, rng):
    call, shape = CALLS[name]
    values = rng.standard_normal(shape).astype(dtype)
    f = library.asarray(values, dtype)
    with gradkit.use_engine(engine):
        found = flat(call(f))
    for got, wanted in zip(found, flat(call(values)), strict=True):
        assert type(got) is type(f)
        host = library.to_numpy(got)
        assert host.dtype == wanted.dtype == dtype
        atol = roundings(library.kind, wanted, engine)
        np.testing.assert_allclose(host, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("function", [gradkit.divergence, gradkit.curl, gradkit.jacobian])
def test_components_may_come_as_a_sequence(library, function, rng):
    v = [rng.standard_normal((4, 3)) for _ in range(2)]
    got = flat(function([library.asarray(c) for c in v]))
    for result, wanted in zip(got, flat(function(v)), strict=True):
        atol = roundings(library.kind, wanted)
        np.testing.assert_allclose(library.to_numpy(result), wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["gradient on coordinates", "periodic", "hessian"])
def test_complex_is_the_real_and_the_imaginary_part(library, name, dtype, rng):
    assert CLAIMS[library.kind].complex
    call, shape = CALLS[name]
    z = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    parts = zip(flat(call(z.real)), flat(call(z.imag)), strict=True)
    results = flat(call(library.asarray(z, dtype)))
    for got, (real, imaginary) in zip(results, parts, strict=True):
        host = library.to_numpy(got)
        assert host.dtype == dtype
        # Complex times real may be done as four products; the results here are below 30 / h**2.
        atol = 4 * np.spacing(abs(real).max() + abs(imaginary).max())
        np.testing.assert_allclose(host.real, real, rtol=0, atol=atol)
        np.testing.assert_allclose(host.imag, imaginary, rtol=0, atol=atol)


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_differences_of_integers_are_exact(library, dtype):
    assert CLAIMS[library.kind].integers == "all"
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = [high, high - 1, high - 2, high, low, low + 3, high]
    got = library.to_numpy(gradkit.gradient(library.asarray(values, dtype)))
    differences = [b - a for a, b in zip(values[:-2], values[2:], strict=True)]
    wanted = [-1.0, *(float(Fraction(d, 2)) for d in differences), float(high - low - 3)]
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_weighted_differences_of_integers_are_exact(library, dtype):
    high = np.iinfo(dtype).max
    values = [high, high - 1, high - 4, high - 9, high - 16, high - 25]
    second = library.to_numpy(gradkit.derivative(library.asarray(values, dtype), order=2))
    np.testing.assert_array_equal(second, [-2.0] * 6)
    wrapped = gradkit.derivative(library.asarray(values, dtype), boundary="periodic")
    wanted = [12.0, -2.0, -4.0, -6.0, -8.0, 8.0]
    np.testing.assert_array_equal(library.to_numpy(wrapped), wanted)


def half_dtypes(library):
    return [name for name in CLAIMS[library.kind].half.split(", ") if name != "-"]


def as_half(library, values, dtype):
    if dtype == "float16":
        return library.asarray(values, dtype)
    return library.xp.asarray(library.asarray(values), dtype=library.xp.bfloat16)


def half_to_float64(library, array, dtype):
    if dtype == "bfloat16":
        array = library.xp.asarray(array, dtype=library.xp.float32)
    return library.to_numpy(array).astype("float64")


def test_half_precision_is_computed_in_float32(library, rng):
    for dtype in half_dtypes(library):
        f = as_half(library, rng.standard_normal(40).astype("float32"), dtype)
        got = gradkit.derivative(f, 0.3, accuracy=8)
        assert got.dtype == f.dtype
        exact = gradkit.derivative(half_to_float64(library, f, dtype), 0.3, accuracy=8)
        # float32 leaves an error of 1e-6 of the result, so here all roundings to half agree.
        wanted = half_to_float64(library, as_half(library, exact, dtype), dtype)
        np.testing.assert_array_equal(half_to_float64(library, got, dtype), wanted)


def test_float16_does_not_overflow_between_input_and_result(library):
    if "float16" not in half_dtypes(library):
        pytest.skip(f"{library.kind} has no float16")
    f = library.asarray([60000.0, 0.0, -60000.0], "float16")
    got = library.to_numpy(gradkit.gradient(f))
    np.testing.assert_array_equal(got, np.asarray([-60000.0] * 3, dtype="float16"), strict=True)


def test_library_without_half_precision_has_no_such_dtypes(library):
    if half_dtypes(library):
        pytest.skip("claims half precision")
    assert not hasattr(library.xp, "float16")
    assert not hasattr(library.xp, "bfloat16")


def test_bool_raises_on_every_library(library):
    with pytest.raises(ArgumentTypeError, match="bool"):
        gradkit.gradient(library.asarray([True, False, True], "bool"))


def test_out_is_written_and_returned_where_the_table_says_so(library):
    if "readonly" in library.name:
        pytest.skip("its arrays cannot be written to")
    f = library.asarray(np.arange(12.0).reshape(4, 3) ** 2)
    wanted = np.gradient(np.arange(12.0).reshape(4, 3) ** 2)
    out = tuple(library.asarray(np.full((4, 3), 7.0)) for _ in range(2))
    if not CLAIMS[library.kind].out:
        with pytest.raises(ArgumentTypeError, match=f"{library.kind} array, which cannot"):
            gradkit.gradient(f, out=out)
        return
    assert gradkit.gradient(f, out=out) is out
    for written, expected in zip(out, wanted, strict=True):
        np.testing.assert_array_equal(library.to_numpy(written), expected)


def test_out_that_shares_memory_with_the_input_raises(library):
    if not CLAIMS[library.kind].out or "readonly" in library.name:
        pytest.skip("cannot be written to")
    f = library.asarray([1.0, 2.0, 4.0])
    with pytest.raises(ArgumentValueError, match="shares memory"):
        gradkit.gradient(f, out=f)
    np.testing.assert_array_equal(library.to_numpy(f), [1.0, 2.0, 4.0])


def test_out_that_overlaps_the_input_raises(library):
    if not CLAIMS[library.kind].out or "readonly" in library.name:
        pytest.skip("cannot be written to")
    store = library.asarray([1.0, 2.0, 4.0, 8.0, 16.0])
    with pytest.raises(ArgumentValueError, match="shares memory"):
        gradkit.gradient(store[:3], out=store[2:])
    np.testing.assert_array_equal(library.to_numpy(store), [1.0, 2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_out_of_the_wrong_dtype_raises(library, dtype):
    if not CLAIMS[library.kind].out or "readonly" in library.name:
        pytest.skip("cannot be written to")
    out = library.asarray([7, 7, 7], dtype)
    with pytest.raises(ArgumentTypeError, match=f"{dtype}.*float64"):
        gradkit.gradient(library.asarray([1.0, 2.0, 4.0]), out=out)
    np.testing.assert_array_equal(library.to_numpy(out), [7, 7, 7])


def test_only_lazy_libraries_are_lazy(library):
    result = gradkit.gradient(library.asarray([1.0, 2.0, 4.0]))
    assert hasattr(result, "compute") == CLAIMS[library.kind].lazy


def test_nan_raise_looks_at_the_values(library):
    if CLAIMS[library.kind].lazy:
        pytest.skip("looks when it is computed; tests/engines/test_chunked.py")
    with pytest.raises(ArgumentValueError, match="f holds NaN"):
        gradkit.gradient(library.asarray([1.0, np.nan, 4.0]), nan="raise")
    good = gradkit.gradient(library.asarray([1.0, 2.0, 4.0]), nan="raise")
    np.testing.assert_array_equal(library.to_numpy(good), [1.0, 1.5, 2.0])


@pytest.mark.parametrize(
    "coordinates",
    [(0.0, 1.0, 4.0), [0, 1, 4], np.asarray([0.0, 1.0, 4.0]), np.asarray([0, 1, 4], "uint8")],
    ids=["tuple", "list", "array", "uint8"],
)
def test_coordinates_from_the_host_serve_every_library(library, coordinates):
    got = gradkit.gradient(library.asarray([0.0, 1.0, 16.0]), coordinates)
    np.testing.assert_array_equal(library.to_numpy(got), [1.0, 2.0, 5.0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_coordinates_of_the_same_library_serve(library, dtype):
    if library.kind == "dask":
        pytest.skip("lazy coordinates are refused; tests/engines/test_chunked.py")
    x = library.asarray([0, 1, 4], dtype)
    got = gradkit.gradient(library.asarray([0.0, 1.0, 16.0]), x)
    np.testing.assert_array_equal(library.to_numpy(got), [1.0, 2.0, 5.0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_spacing_may_be_a_zero_dimensional_array(library, dtype):
    if library.kind == "dask":
        pytest.skip("lazy spacings are refused")
    got = gradkit.gradient(library.asarray([0.0, 1.0, 4.0]), library.asarray(2, dtype))
    np.testing.assert_array_equal(library.to_numpy(got), [0.5, 1.0, 1.5])


@pytest.mark.parametrize("h", [0.5, np.float64(0.5), np.float32(0.5), np.asarray(0.5), 1])
def test_spacing_does_not_promote_the_data(library, h):
    single = library.asarray([0.0, 1.0, 4.0], "float32")
    for f in (single, *(as_half(library, [0.0, 1.0, 4.0], d) for d in half_dtypes(library))):
        assert gradkit.gradient(f, h).dtype == f.dtype
        assert gradkit.gradient(f, [0.0, 1.0, 4.0]).dtype == f.dtype


def test_dtype_argument_takes_names_and_dtypes_of_the_library(library):
    f = library.asarray([0.0, 1.0, 4.0], "float32")
    for dtype in ("float64", np.float64, library.xp.float64):
        host = library.to_numpy(gradkit.gradient(f, dtype=dtype))
        assert host.dtype == "float64"


# --- arrays that do not belong together ---------------------------------------------------------


def array_of(name):
    module = {"jax": "jax.numpy", "dask": "dask.array"}.get(name, name)
    return pytest.importorskip(module).ones((4, 4))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("numpy", "torch"),
        ("torch", "numpy"),
        ("torch", "jax"),
        ("jax", "numpy"),
        ("dask", "numpy"),
        ("numpy", "dask"),
        ("array_api_strict", "torch"),
        ("numpy", "array_api_strict"),
    ],
)
class TestMixedLibraries:
    def test_components_name_both(self, first, second):
        with pytest.raises(ArgumentTypeError, match=first) as caught:
            gradkit.divergence([array_of(first), array_of(second)])
        assert second in str(caught.value)

    def test_components_are_called_what_the_signature_calls_them(self, first, second):
        with pytest.raises(ArgumentTypeError, match=r"v\[1\] is a.*v\[0\] is a"):
            gradkit.divergence([array_of(first), array_of(second)])

    def test_coordinates_name_both(self, first, second):
        if second == "numpy":
            return  # host coordinates serve every library, as tested above
        with pytest.raises(ArgumentTypeError, match=second):
            gradkit.gradient(array_of(first)[0, :], array_of(second)[0, :])

    def test_out_names_both(self, first, second):
        with pytest.raises(ArgumentTypeError, match=first) as caught:
            gradkit.laplacian(array_of(first), out=array_of(second))
        assert second in str(caught.value)

    def test_prepend_names_both(self, first, second):
        with pytest.raises(ArgumentTypeError, match=first) as caught:
            gradkit.diff(array_of(first), prepend=array_of(second))
        assert second in str(caught.value)


# --- torch --------------------------------------------------------------------------------------

DIFFERENTIABLE = [name for name in CALLS if name != "curl, three dimensions"]

#: torch itself uses a deprecated function when it first differentiates forward.
torch_forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")


def torch_input(torch, shape):
    values = np.random.default_rng(3).standard_normal(shape)
    return torch.asarray(values).requires_grad_()


@on("torch")
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_torch_gradcheck(library, name):
    call, shape = CALLS[name]
    f = torch_input(library.xp, shape)
    assert library.xp.autograd.gradcheck(lambda a: tuple(flat(call(a))), (f,))


@on("torch")
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_torch_gradgradcheck(library, name):
    call, shape = CALLS[name]
    f = torch_input(library.xp, shape)
    # Squares, because the second derivative of a linear map is zero however it is computed.
    assert library.xp.autograd.gradgradcheck(lambda a: sum((b**2).sum() for b in flat(call(a))), f)


@on("torch")
@torch_forward_mode
@pytest.mark.parametrize("name", ["gradient", "second derivative on coordinates", "periodic"])
def test_torch_forward_mode(library, name):
    call, shape = CALLS[name]
    f = torch_input(library.xp, shape)
    assert library.xp.autograd.gradcheck(
        lambda a: tuple(flat(call(a))), (f,), check_forward_ad=True, check_backward_ad=False
    )


@on("torch")
@torch_forward_mode
@pytest.mark.parametrize("transform", ["jacrev", "jacfwd"])
def test_torch_jacobian_is_the_matrix_of_the_stencil(library, transform):
    torch = library.xp
    columns = getattr(torch.func, transform)(gradkit.gradient)(torch.ones(5).double())
    wanted = np.stack([np.gradient(row) for row in np.eye(5)], axis=1)
    np.testing.assert_array_equal(columns.numpy(), wanted)


@on("torch")
def test_torch_func_grad(library):
    torch = library.xp
    f = torch.asarray([0.0, 1.0, 4.0, 9.0]).double()
    got = torch.func.grad(lambda a: (gradkit.gradient(a) ** 2).sum())(f)
    matrix = np.stack([np.gradient(row) for row in np.eye(4)], axis=1)
    np.testing.assert_array_equal(got.numpy(), 2 * matrix.T @ matrix @ f.numpy())


@on("torch")
@pytest.mark.parametrize("in_dim", [0, 1])
@pytest.mark.parametrize("boundary", ["one-sided", "periodic"])
def test_torch_vmap_is_a_batch_axis(library, in_dim, boundary, rng):
    torch = library.xp
    values = rng.standard_normal((6, 6))
    period = 6.0 if boundary == "periodic" else None

    def call(a):
        return gradkit.derivative(a, UNEVEN, axis=0, boundary=boundary, period=period)

    got = torch.func.vmap(call, in_dims=in_dim, out_dims=in_dim)(torch.asarray(values))
    wanted = gradkit.derivative(values, UNEVEN, axis=1 - in_dim, boundary=boundary, period=period)
    np.testing.assert_array_equal(got.numpy(), wanted)


@on("torch")
def test_torch_vmap_of_grad(library, rng):
    torch = library.xp
    f = torch.asarray(rng.standard_normal((3, 4)))
    per_sample = torch.func.vmap(torch.func.grad(lambda a: (gradkit.gradient(a) ** 2).sum()))(f)
    matrix = np.stack([np.gradient(row) for row in np.eye(4)], axis=1)
    # Sums of at most four products of numbers below 4.
    np.testing.assert_allclose(per_sample, 2 * f.numpy() @ matrix.T @ matrix, rtol=0, atol=1e-14)


@on("torch")
def test_torch_vmap_with_nan_raise_says_why_it_cannot(library):
    torch = library.xp
    with pytest.raises(ArgumentTypeError, match="nan='raise'"):
        torch.func.vmap(lambda a: gradkit.gradient(a, nan="raise"))(torch.ones(3, 4))


@on("torch")
def test_torch_nan_raise_keeps_the_graph(library):
    f = library.xp.ones(4, requires_grad=True)
    assert gradkit.gradient(f, nan="raise").requires_grad


@on("torch")
@pytest.mark.parametrize("make", [lambda: UNEVEN, lambda: None], ids=["coordinates", "uniform"])
def test_torch_plan_first_used_in_inference_mode_can_be_differentiated_later(library, make):
    torch = library.xp
    plan = (D(0, 2) + 2).on(Grid(Axis(coordinates=make())), (6,))
    with torch.inference_mode():
        plan(torch.ones(6).double())
        gradkit.gradient(torch.ones(6).double(), UNEVEN)
    f = torch_input(torch, (6,))
    assert torch.autograd.gradcheck(plan, (f,))
    assert torch.autograd.gradcheck(lambda a: gradkit.gradient(a, UNEVEN), (f,))
    assert torch.autograd.gradgradcheck(lambda a: plan(a) ** 2, (f,))


@on("torch")
def test_torch_plan_first_used_without_gradients_can_be_differentiated_later(library):
    torch = library.xp
    plan = D(0, 2).on(Grid(Axis(coordinates=UNEVEN)), (6,))
    with torch.no_grad():
        assert not plan(torch_input(torch, (6,))).requires_grad
    assert plan(torch_input(torch, (6,))).requires_grad
    with torch.inference_mode():
        assert plan(torch.ones(6).double()).is_inference()


@on("torch")
def test_torch_plan_first_used_under_vmap_or_grad_leaks_no_wrapper(library):
    torch = library.xp
    f = torch.ones(2, 6).double()
    for transform, argument in ((torch.func.vmap, f), (torch.func.jacrev, f[0])):
        plan = D(0, 2).on(Grid(Axis(coordinates=UNEVEN)), (6,))
        transform(plan)(argument)
        np.testing.assert_array_equal(plan(f[1]).numpy(), np.zeros(6))


@on("torch")
def test_torch_out_that_requires_a_gradient_raises(library):
    torch = library.xp
    out = torch.zeros(4, requires_grad=True)
    with pytest.raises(ArgumentValueError, match="out requires a gradient"):
        gradkit.gradient(torch.ones(4), out=out)
    assert torch.equal(out, torch.zeros(4))


@on("torch")
@pytest.mark.parametrize("asking", [True, False])
def test_torch_coordinates_that_require_a_gradient_raise(library, asking):
    torch = library.xp
    f = torch.ones(4, requires_grad=asking)
    x = torch.arange(4.0, requires_grad=True)
    with pytest.raises(ArgumentTypeError, match=r"requires a gradient.*\.detach\(\)"):
        gradkit.gradient(f, x)
    with pytest.raises(ArgumentTypeError, match=r"requires a gradient.*\.detach\(\)"):
        gradkit.derivative(f, x[1])
    with pytest.raises(ArgumentTypeError, match=r"requires a gradient.*\.detach\(\)"):
        Axis(coordinates=x)


@on("torch")
def test_torch_mapped_coordinates_raise(library):
    torch = library.xp
    x = torch.arange(4.0).expand(3, 4)
    with pytest.raises(ArgumentTypeError, match=r"spacing|coordinates"):
        torch.func.vmap(gradkit.gradient)(torch.ones(3, 4), x)


@on("torch")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_torch_coordinates_of_any_precision(library, dtype):
    torch = library.xp
    x = torch.asarray([0.0, 1.0, 4.0], dtype=getattr(torch, dtype))
    got = gradkit.gradient(torch.asarray([0.0, 1.0, 16.0]), x)
    np.testing.assert_array_equal(got.numpy(), [1.0, 2.0, 5.0])


@on("torch")
@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.T,
        lambda t: t[::2],
        lambda t: t[:, 1::2],
        lambda t: t[0].expand(6, 6),
        lambda t: t.flip(0),
        lambda t: t.unfold(0, 3, 1).permute(2, 0, 1).reshape(-1, 6),
    ],
    ids=["transposed", "every other row", "every other column", "expanded", "flipped", "unfolded"],
)
def test_torch_non_contiguous_input(library, view, rng):
    t = view(library.xp.asarray(rng.standard_normal((8, 8))[:6, :6]))
    for got, wanted in zip(gradkit.gradient(t), np.gradient(t.numpy()), strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted)


@on("torch")
@pytest.mark.parametrize("part", ["conj", "imag", "negative view"])
def test_torch_lazy_views_of_complex_tensors(library, part, rng):
    torch = library.xp
    z = torch.asarray(rng.standard_normal((4, 5)) + 1j * rng.standard_normal((4, 5)))
    f = {"conj": z.conj(), "imag": z.imag, "negative view": z.conj().imag}[part]
    host = {"conj": z.numpy().conj(), "imag": z.numpy().imag, "negative view": -z.numpy().imag}
    for got, wanted in zip(gradkit.gradient(f), np.gradient(host[part]), strict=True):
        np.testing.assert_array_equal(got.resolve_conj().numpy(), wanted)


@on("torch")
def test_torch_images_in_channels_last_memory(library, rng):
    torch = library.xp
    values = rng.standard_normal((2, 3, 5, 4))
    image = torch.asarray(values).to(memory_format=torch.channels_last)
    assert not image.is_contiguous()
    got = gradkit.gradient(image, axis=(-2, -1))
    for result, wanted in zip(got, np.gradient(values, axis=(2, 3)), strict=True):
        np.testing.assert_array_equal(result.numpy(), wanted)


@on("torch")
def test_torch_out_may_be_non_contiguous(library):
    torch = library.xp
    store = torch.zeros(4, 6)
    out = store[:, ::2].T
    f = torch.arange(12.0).reshape(3, 4) ** 2
    assert gradkit.gradient(f, axis=0, out=out) is out
    np.testing.assert_array_equal(out.numpy(), np.gradient(f.numpy(), axis=0))
    assert not store[:, 1::2].any()


@on("torch")
def test_torch_devices_that_differ_are_named(library):
    torch = library.xp
    v = [torch.ones(4, 4), torch.ones(4, 4, device="meta")]
    with pytest.raises(ArgumentTypeError, match=r"cpu.*meta|meta.*cpu"):
        gradkit.divergence(v)
    with pytest.raises(ArgumentTypeError, match=r"cpu.*meta|meta.*cpu"):
        gradkit.gradient(v[0], axis=0, out=v[1])


@on("torch")
def test_torch_result_stays_on_a_device_without_memory(library):
    torch = library.xp
    f = torch.ones(4, 6, device="meta")
    for call in (gradkit.laplacian, lambda a: gradkit.derivative(a, UNEVEN, order=2)):
        assert call(f).device.type == "meta"
        assert call(f).shape == (4, 6)


@on("torch")
def test_torch_parameters_give_tensors(library):
    torch = library.xp
    got = gradkit.gradient(torch.nn.Parameter(torch.ones(4)))
    assert type(got) is torch.Tensor
    assert got.requires_grad


# --- JAX ----------------------------------------------------------------------------------------


@pytest.fixture
def jax(library):
    return pytest.importorskip("jax")


#: Compiling takes its time, so a few calls stand for all.
COMPILED = ["second derivative on coordinates", "antiperiodic", "hessian", "curl, two dimensions"]


@on("jax")
@pytest.mark.parametrize("name", [*COMPILED, "curl, three dimensions", "periodic coordinates"])
def test_jax_jit(library, jax, name, rng):
    call, shape = CALLS[name]
    values = rng.standard_normal(shape)
    compiled = jax.jit(call)
    for _ in range(2):
        results = flat(compiled(library.asarray(values)))
        for got, wanted in zip(results, flat(call(values)), strict=True):
            atol = roundings("jax", wanted)
            np.testing.assert_allclose(np.asarray(got), wanted, rtol=0, atol=atol)


@on("jax")
@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint8"])
def test_jax_jit_on_integers_is_exact(library, jax, dtype):
    high = np.iinfo(dtype).max
    f = library.asarray([high, high - 2, high - 8], dtype)
    np.testing.assert_array_equal(np.asarray(jax.jit(gradkit.gradient)(f)), [-2.0, -4.0, -6.0])


@on("jax")
@pytest.mark.parametrize("in_axis", [0, 1])
def test_jax_vmap_is_a_batch_axis(library, jax, in_axis, rng):
    values = rng.standard_normal((6, 6))
    call = lambda a: gradkit.derivative(a, UNEVEN, axis=0, order=2)  # noqa: E731
    got = jax.vmap(call, in_axes=in_axis, out_axes=in_axis)(library.asarray(values))
    wanted = gradkit.derivative(values, UNEVEN, axis=1 - in_axis, order=2)
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=0, atol=roundings("jax", wanted))


def matrix(call, shape):
    """The matrix of a linear call, by what NumPy arrays of zeros and a single one become."""
    columns = [
        np.concatenate([np.ravel(a) for a in flat(call(unit.reshape(shape)))])
        for unit in np.eye(int(np.prod(shape)))
    ]
    return np.stack(columns, axis=1)


def squares(call):
    return lambda a: sum((b**2).sum() for b in flat(call(a)))


@on("jax")
@pytest.mark.parametrize("name", COMPILED)
def test_jax_grad_is_the_transpose(library, jax, name, rng):
    call, shape = CALLS[name]
    values = rng.standard_normal(shape)
    got = jax.jit(jax.grad(squares(call)))(library.asarray(values))
    m = matrix(call, shape)
    wanted = 2 * m.T @ (m @ values.ravel())
    # Sums of at most 30 products.
    atol = 60 * np.spacing(abs(m.T).sum(axis=1).max() * abs(m @ values.ravel()).max())
    np.testing.assert_allclose(np.asarray(got).ravel(), wanted, rtol=0, atol=atol)


@on("jax")
def test_jax_hessian_is_the_normal_matrix(library, jax, rng):
    call, shape = CALLS["second derivative on coordinates"]
    values = library.asarray(rng.standard_normal(shape))
    got = np.asarray(jax.jit(jax.hessian(squares(call)))(values))
    m = matrix(call, shape)
    wanted = 2 * m.T @ m
    atol = 60 * np.spacing(abs(wanted).max())
    np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=0, atol=atol)


@on("jax")
@pytest.mark.parametrize("name", COMPILED)
def test_jax_jvp_is_the_call_itself(library, jax, name, rng):
    call, shape = CALLS[name]
    primal, tangent = (library.asarray(a) for a in rng.standard_normal((2, *shape)))
    values, pushed = jax.jit(lambda p, t: jax.jvp(call, (p,), (t,)))(primal, tangent)
    for results, argument in ((values, primal), (pushed, tangent)):
        for got, wanted in zip(flat(results), flat(call(np.asarray(argument))), strict=True):
            atol = roundings("jax", wanted)
            np.testing.assert_allclose(np.asarray(got), wanted, rtol=0, atol=atol)


@on("jax")
def test_jax_jit_with_nan_raise_says_why_it_cannot(library, jax):
    f = library.asarray([1.0, 2.0, 4.0])
    with pytest.raises(ArgumentTypeError, match=r"nan='raise'.*traced.*propagate"):
        jax.jit(lambda a: gradkit.gradient(a, nan="raise"))(f)
    np.testing.assert_array_equal(gradkit.gradient(f, nan="raise"), [1.0, 1.5, 2.0])


@on("jax")
@pytest.mark.parametrize(
    "call",
    [
        gradkit.gradient,
        gradkit.derivative,
        lambda f, x: gradkit.gradient(f, x[1]),
        lambda f, x: gradkit.derivative(f, UNEVEN, boundary="periodic", period=x[5] + 6),
        lambda f, x: gradkit.derivative(f, Axis(coordinates=x)),
    ],
    ids=["coordinates", "coordinates of derivative", "spacing", "period", "axis"],
)
def test_jax_traced_coordinates_say_why_they_cannot(library, jax, call):
    f, x = library.asarray(np.ones(6)), library.asarray(np.arange(6.0))
    with pytest.raises(ArgumentTypeError, match=r"traced by JAX.*constant"):
        jax.jit(call)(f, x)
    with pytest.raises(ArgumentTypeError, match=r"traced by JAX.*constant"):
        jax.vmap(call)(f[None], x[None])
    with pytest.raises(ArgumentTypeError, match=r"traced by JAX.*constant"):
        jax.grad(lambda f, x: call(f, x).sum(), argnums=1)(f, x)


@on("jax")
def test_jax_concrete_coordinates_serve_inside_jit(library, jax):
    x = library.asarray([0.0, 1.0, 4.0])
    got = jax.jit(lambda f: gradkit.gradient(f, x))(library.asarray([0.0, 1.0, 16.0]))
    np.testing.assert_array_equal(np.asarray(got), [1.0, 2.0, 5.0])


@on("jax")
@pytest.mark.parametrize("axis", [Axis(0.3), Axis(coordinates=UNEVEN)], ids=["uniform", "uneven"])
@pytest.mark.parametrize("transform", ["jit", "grad"])
def test_jax_plan_first_used_in_a_transformation_leaks_no_tracer(library, jax, axis, transform):
    values = np.arange(6.0) ** 2
    wanted = (D(0, 2) + 1).on(Grid(axis), (6,))(values)
    plan = (D(0, 2) + 1).on(Grid(axis), (6,))
    f = library.asarray(values)
    {"jit": jax.jit, "grad": jax.grad}[transform](lambda a: plan(a).sum())(f)
    atol = roundings("jax", wanted)
    np.testing.assert_allclose(np.asarray(plan(f)), wanted, rtol=0, atol=atol)
    # Another function than before, so that the plan is traced again.
    again = np.asarray(jax.jit(lambda a: -plan(a))(f))
    np.testing.assert_allclose(-again, wanted, rtol=0, atol=atol)


@on("jax")
def test_jax_function_first_used_in_jit_leaks_no_tracer(library, jax):
    f = library.asarray(np.arange(6.0) ** 2)
    x = np.asarray(UNEVEN) + 0.125
    call = lambda a: gradkit.derivative(a, x, order=2)  # noqa: E731
    wanted = call(np.arange(6.0) ** 2)
    for run in (jax.jit(call), call, jax.jit(call)):
        got = np.asarray(run(f))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=roundings("jax", wanted))


@on("jax")
def test_jax_plan_may_be_a_static_argument(library, jax):
    run = jax.jit(lambda plan, f: plan(f), static_argnums=0)
    f = library.asarray([0.0, 1.0, 4.0])
    for h, wanted in ((1.0, [1.0, 2.0, 3.0]), (0.5, [2.0, 4.0, 6.0])):
        plan = D(0).on(Grid(Axis(h)), (3,), edge_order=1)
        np.testing.assert_array_equal(np.asarray(run(plan, f)), wanted)


def test_jax_without_x64_keeps_to_float32_without_a_warning(fresh_python):
    pytest.importorskip("jax")
    printed = fresh_python(
        "import warnings, numpy as np, jax, jax.numpy as jnp, gradkit\n"
        "warnings.simplefilter('error')\n"
        "for dtype in ('int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32'):\n"
        "    high = int(np.iinfo(dtype).max)\n"
        "    f = jnp.asarray(np.asarray([high, high - 1, high - 4, 0], dtype))\n"
        "    for call in (gradkit.gradient, jax.jit(gradkit.gradient)):\n"
        "        got = call(f)\n"
        "        wanted = np.float32([-1, -2, -(high - 1) / 2, -(high - 4)])\n"
        "        assert got.dtype == 'float32', got.dtype\n"
        "        assert np.array_equal(np.asarray(got), wanted), (dtype, got)\n"
        "f = jnp.asarray([0.0, 1.0, 16.0])\n"
        "for x in ([0.0, 1.0, 4.0], np.asarray([0.0, 1.0, 4.0]), jnp.asarray([0, 1, 4])):\n"
        "    got = jax.jit(lambda f: gradkit.gradient(f, x))(f)\n"
        "    assert got.dtype == 'float32' and list(got) == [1, 2, 5], got\n"
        "got = gradkit.laplacian(jnp.asarray([1j, 2j, 4j, 8j]), 1.0)\n"
        "assert got.dtype == 'complex64', got.dtype\n"
        "assert gradkit.diff(f, prepend=0.0).dtype == 'float32'\n"
        "gradkit.explain_engine(f)\n"
        # The same plan follows a change of the setting.
        "plan = gradkit.D(0).on(gradkit.Grid(gradkit.Axis(coordinates=[0.0, 1.0, 4.0])), (3,))\n"
        "f = jnp.asarray(np.asarray([0, 1, 16], 'int32'))\n"
        "print(plan(f).dtype)\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "print(plan(f).dtype)\n"
    )
    assert printed.split() == ["float32", "float64"]


def test_jax_devices_are_kept_and_not_mixed(fresh_python):
    pytest.importorskip("jax")
    printed = fresh_python(
        "import jax, jax.numpy as jnp\n"
        "from gradkit import Axis, D, Grid, divergence, gradient\n"
        "first, other = jax.devices()\n"
        "f = jax.device_put(jnp.arange(4.0), other)\n"
        "zero = (D(0) - D(0)).on(Grid(Axis()), (4,))\n"
        "for call in (gradient, lambda f: gradient(f, [0.0, 1.0, 3.0, 4.0]), zero):\n"
        "    print(call(f).devices() == {other})\n"
        "try:\n"
        "    divergence([jax.device_put(jnp.ones((4, 4)), device) for device in (first, other)])\n"
        "except TypeError as error:\n"
        "    print(str(first.id) in str(error) and str(other.id) in str(error))\n",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert printed.split() == ["True"] * 4


# --- array-api-strict ---------------------------------------------------------------------------


@pytest.fixture
def strictest(library):
    with library.xp.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        yield library


@on("array_api_strict")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["float64", "complex64", "uint64"])
def test_strictest_namespace_is_enough(strictest, name, dtype, rng):
    call, shape = CALLS[name]
    values = (9 * rng.random(shape)).astype(dtype)
    f = strictest.asarray(values, dtype)
    for got, wanted in zip(flat(call(f)), flat(call(values)), strict=True):
        assert type(got) is type(f)
        np.testing.assert_array_equal(strictest.to_numpy(got), wanted, strict=True)


@on("array_api_strict")
def test_strictest_namespace_is_enough_for_out_and_nan(strictest):
    f = strictest.asarray([[0.0, 1.0, 4.0], [0.0, 2.0, 8.0]])
    out = strictest.asarray(np.zeros((2, 3)))
    assert gradkit.gradient(f, axis=1, nan="raise", out=out) is out
    np.testing.assert_array_equal(strictest.to_numpy(out), [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])


@on("array_api_strict")
@pytest.mark.parametrize("name", CALLS)
def test_strict_result_stays_on_the_device(library, name):
    call, shape = CALLS[name]
    device = library.xp.Device("device1")
    for result in flat(call(library.xp.ones(shape, device=device))):
        assert result.device == device


@on("array_api_strict")
@pytest.mark.parametrize("dtype", ["int8", "uint32"])
def test_integers_become_float32_on_a_device_without_float64(library, dtype):
    xp = library.xp
    device = xp.Device("no_float64")
    high = np.iinfo(dtype).max
    f = xp.asarray([high, high - 1, high - 4], dtype=getattr(xp, dtype), device=device)
    got = gradkit.gradient(f)
    assert got.device == device
    assert got.dtype == xp.float32
    assert [float(value) for value in got] == [-1.0, -2.0, -3.0]


@on("array_api_strict")
def test_strict_devices_that_differ_are_named(library):
    xp = library.xp
    v = [xp.ones((4, 4)), xp.ones((4, 4), device=xp.Device("device1"))]
    with pytest.raises(ArgumentTypeError, match=r"CPU_DEVICE.*device1|device1.*CPU_DEVICE"):
        gradkit.divergence(v)


@on("array_api_strict")
@pytest.mark.parametrize("where", ["CPU_DEVICE", "device1"])
def test_coordinates_on_the_host_or_on_the_device_serve(library, where):
    xp = library.xp
    device = xp.Device("device1")
    x = xp.asarray([0.0, 1.0, 4.0], device=xp.Device(where))
    got = gradkit.gradient(xp.asarray([0.0, 1.0, 16.0], device=device), x)
    assert got.device == device
    assert [float(value) for value in got] == [1.0, 2.0, 5.0]


@on("torch")
def test_torch_fake_tensors_leave_nothing_behind(library):
    torch = library.xp
    x = np.asarray([0.0, 0.1, 0.3, 0.6])
    f = torch.arange(4.0, dtype=torch.float64)
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        gradkit.gradient(mode.from_tensor(f), x)
    result = gradkit.gradient(f, x)
    assert type(result) is torch.Tensor
    np.testing.assert_allclose(result.numpy(), np.gradient(f.numpy(), x), rtol=1e-14)


@on("torch")
def test_torch_out_is_written_whole_or_not_at_all(library):
    torch = library.xp
    first = torch.full((4, 4), 7.0)
    with pytest.raises(ValueError, match=r"out\[1\].*share memory with one another"):
        gradkit.gradient(torch.zeros(4, 4), out=(first, torch.zeros(1, 1).expand(4, 4)))
    with torch.inference_mode():
        second = torch.zeros(4, 4)
    with pytest.raises(ValueError, match=r"out\[1\] is an inference tensor"):
        gradkit.gradient(torch.zeros(4, 4), out=(first, second))
    assert (first == 7.0).all()


@on("torch")
def test_torch_period_is_read_in_every_call(library):
    torch = library.xp
    f, x = torch.asarray([0.0, 1.0, 4.0, 2.0]), np.asarray([0.0, 1.0, 3.0, 4.0])
    period = torch.asarray(9.0)
    before = gradkit.derivative(f, x, boundary="periodic", period=period)
    period += 100
    after = gradkit.derivative(f, x, boundary="periodic", period=period)
    wanted = gradkit.derivative(f, x, boundary="periodic", period=109.0)
    assert (after == wanted).all()
    assert (before != after).any()


# --- operators with arrays, walls, faces and stencils of one's own ------------------------------

H = 0.5
FIELD = np.random.default_rng(7).standard_normal((6, 4))
INSIDE = np.random.default_rng(8).standard_normal((6, 4))
FACES = 1 + np.random.default_rng(9).random((7, 4))
ALONG = 1 + np.random.default_rng(10).random((3, 4))
LOOP = Grid(Axis(H, boundary="periodic"), None)
OPEN = Grid(Axis(H), None)


def centred(f):
    return (np.roll(f, -1, 0) - np.roll(f, 1, 0)) / (2 * H)


def between(f, first, last):
    """Slopes at all faces, those at the two ends known."""
    return np.concatenate([first[None], np.diff(f, axis=0) / H, last[None]])


def fluxes(f, k, wall):
    """Slopes at all faces, with 2 at the first wall and an array along the last, times k."""
    return k * between(f, (f[0] - 2.0) / (H / 2), (wall - f[-1]) / (H / 2))


def mixed(near, far, a, b, g):
    """The slope at a wall of the parabola through two samples for which a f + b f' = g there."""
    found = []
    for column in np.broadcast(near, far, a, b, g):
        # f = c0 + c1 y + c2 y**2, y inwards from the wall.
        rows = [[1, H / 2, H**2 / 4], [1, 3 * H / 2, 9 * H**2 / 4], [column[2], -column[3], 0]]
        found.append(-np.linalg.solve(rows, [column[0], column[1], column[4]])[1])
    return np.asarray(found)


def five_points(f):
    return sum(np.roll(f, k, axis) for k in (-1, 1) for axis in (0, 1)) - 4 * f


def on_walls(operator, first, last, **options):
    return operator.on(Grid(Axis(H, boundary=(first, last)), None), (6, 4), **options)


#: Name -> plan, from a function that makes arrays; the same in NumPy, of f and the same arrays;
#: the arrays. Coefficients stand on the right, because those of array-api-strict, on the left,
#: refuse what they do not know.
FEATURES = {
    "array in front": (
        lambda a: (D(0, 2) * a).on(LOOP, (6, 4)),
        lambda f, a: a * (np.roll(f, -1, 0) - 2 * f + np.roll(f, 1, 0)) / H**2,
        [INSIDE],
    ),
    "array that broadcasts": (
        lambda a: (D(0) * a).on(LOOP, (6, 4)),
        lambda f, a: a * centred(f),
        [INSIDE[0]],
    ),
    "array without a dimension": (
        lambda a: (D(0) * a).on(LOOP, (6, 4)),
        lambda f, a: a * centred(f),
        [np.asarray(2.5)],
    ),
    "array between derivatives": (
        lambda a: (D(0) @ (D(0) * a)).on(LOOP, (6, 4)),
        lambda f, a: centred(a * centred(f)),
        [INSIDE],
    ),
    "array before the derivative": (
        # Of what is multiplied, nothing is known at the walls.
        lambda a: on_walls(D(0) @ a, Dirichlet(2.0), Neumann(1.0), edge_order=1),
        lambda f, a: np.gradient(a * f, H, axis=0),
        [INSIDE],
    ),
    "complex number": (
        lambda: ((1 + 2j) * D(0)).on(LOOP, (6, 4)),
        lambda f: (1 + 2j) * centred(f),
        [],
    ),
    "complex array": (
        lambda a: (D(0) * a).on(LOOP, (6, 4)),
        lambda f, a: a * centred(f),
        [INSIDE + 1j * INSIDE[::-1]],
    ),
    "flux between walls": (
        lambda k, wall: on_walls(
            D(0, to="centre") @ (D(0, to="outer") * k),
            Dirichlet(2.0),
            Dirichlet(wall),
            edge_order=1,
        ),
        lambda f, k, wall: np.diff(fluxes(f, k, wall), axis=0) / H,
        [FACES, ALONG[0]],
    ),
    "slopes along walls": (
        lambda first, last: on_walls(D(0, to="outer"), Neumann(first), Neumann(last), edge_order=1),
        lambda f, first, last: between(f, -first, last),
        [ALONG[0], ALONG[1]],
    ),
    "mixture along a wall": (
        lambda a, b, g: on_walls(D(0, to="outer"), Neumann(0.5), Robin(a, b, g)),
        lambda f, a, b, g: between(f, np.full(4, -0.5), mixed(f[-1], f[-2], a, b, g)),
        [ALONG[0], ALONG[1], ALONG[2]],
    ),
    "complex value at a wall": (
        lambda wall: on_walls(D(0, to="outer"), Dirichlet(1j), Dirichlet(wall), edge_order=1),
        lambda f, wall: between(f + 0j, (f[0] - 1j) / (H / 2), (wall - f[-1]) / (H / 2)),
        [ALONG[0] + 1j * ALONG[1]],
    ),
    "mirror images": (
        lambda: on_walls(D(0, 2), Symmetric(), Antisymmetric(at="next")),
        lambda f: (
            (np.concatenate([f[:1], f[:-1]]) - 2 * f + np.concatenate([f[1:], 0 * f[:1]])) / H**2
        ),
        [],
    ),
    "means of neighbours": (
        lambda: Average(0, to="inner").on(OPEN, (6, 4)),
        lambda f: (f[1:] + f[:-1]) / 2,
        [],
    ),
    "several outputs of different shapes": (
        lambda: Gradient(2, to="inner").on(Grid(Axis(H), Axis(H)), (6, 4)),
        lambda f: (np.diff(f, axis=0) / H, np.diff(f, axis=1) / H),
        [],
    ),
    "stencil of one's own": (
        lambda: D(0, stencil=Stencil((-1, 0), order=1)).on(LOOP, (6, 4)),
        lambda f: (f - np.roll(f, 1, 0)) / H,
        [],
    ),
    "neighbours of one's own": (
        lambda a: (
            operator_from_offsets({(0, 0): -4, (1, 0): 1, (-1, 0): 1, (0, 1): 1, (0, -1): 1}) * a
        ).on(Grid(*[Axis(boundary="periodic")] * 2), (6, 4)),
        lambda f, a: a * five_points(f),
        [INSIDE],
    ),
}

WITH_ARRAYS = [name for name, (_, _, arrays) in FEATURES.items() if arrays]
COMPLEX = ("complex number", "complex array", "complex value at a wall")


def feature(name, make):
    """The plan of a feature, with its arrays made by a function."""
    plan, _, arrays = FEATURES[name]
    return plan(*map(make, arrays))


def by_numpy(name, f, arrays=None):
    _, formula, own = FEATURES[name]
    return flat(formula(f, *(own if arrays is None else arrays)))


def assert_close(results, wanted, eps=2.0**-52):
    """Equal but for the order of sums and products: some roundings of the largest number in them.

    Those are at most a few times the largest result here.
    """
    assert len(results) == len(wanted)
    for got, expected in zip(results, wanted, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0, atol=32 * eps * abs(expected).max())


@pytest.mark.parametrize("name", FEATURES)
def test_feature_is_what_numpy_computes(library, name):
    f = library.asarray(FIELD)
    results = flat(feature(name, library.asarray)(f))
    assert {type(result) for result in results} == {type(f)}
    hosts = [library.to_numpy(result) for result in results]
    assert_close(hosts, by_numpy(name, FIELD))
    kind = "complex128" if name in COMPLEX else "float64"
    assert {host.dtype.name for host in hosts} == {kind}


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_on_the_host_serve_data_of_every_library(library, name):
    f = library.asarray(FIELD)
    results = flat(feature(name, np.asarray)(f))
    assert {type(result) for result in results} == {type(f)}
    assert_close(list(map(library.to_numpy, results)), by_numpy(name, FIELD))


@pytest.mark.parametrize(
    "name",
    [
        "array between derivatives",
        "array without a dimension",
        "complex array",
        "flux between walls",
        "mixture along a wall",
        "complex value at a wall",
        "neighbours of one's own",
    ],
)
def test_single_precision_data_stays_so(library, name):
    # Double-precision arrays and numbers do not promote it.
    f = library.asarray(FIELD.astype("float32"), "float32")
    hosts = list(map(library.to_numpy, flat(feature(name, library.asarray)(f))))
    kind = "complex64" if name in COMPLEX else "float32"
    assert {host.dtype.name for host in hosts} == {kind}
    assert_close(hosts, by_numpy(name, FIELD), eps=2.0**-23)


@pytest.mark.parametrize(
    "name", ["complex number", "flux between walls", "mixture along a wall", "mirror images"]
)
def test_complex_data_of_every_library(library, name):
    z = (FIELD + 1j * FIELD[::-1]).astype("complex64")
    hosts = list(map(library.to_numpy, flat(feature(name, library.asarray)(library.asarray(z)))))
    assert {host.dtype.name for host in hosts} == {"complex64"}
    assert_close(hosts, by_numpy(name, z.astype("complex128")), eps=2.0**-23)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64"])
@pytest.mark.parametrize(
    "name", ["array between derivatives", "flux between walls", "slopes along walls"]
)
def test_integers_do_not_wrap_around_between_walls(library, name, dtype):
    high = np.iinfo(dtype).max
    f = np.asarray([high, high - 1, high // 2, high, 0, 3], dtype)[:, None] * np.ones(4, dtype)
    hosts = flat(feature(name, np.asarray)(library.asarray(f, dtype)))
    assert_close(list(map(library.to_numpy, hosts)), by_numpy(name, f.astype("float64")))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_differences_of_large_integers_are_exact_before_they_are_multiplied(library, dtype):
    f = np.asarray([2**62, 2**62 + 2, 2**62 - 4, 2**62 + 1], dtype)
    a = np.asarray([1.0, -3.0, 5.0, 7.0])
    plan = (D(0) * a).on(Grid(Axis(0.5, boundary="periodic")), (4,))
    got = library.to_numpy(plan(library.asarray(f, dtype)))
    np.testing.assert_array_equal(got, a * np.asarray([1.0, -4.0, -1.0, 4.0]), strict=True)
    wall = D(0, 2).on(Grid(Axis(boundary=(Dirichlet(2.0**62, at="next"), "one-sided"))), (4,))
    # (f[1] - f[0]) - (f[0] - wall), and differences of differences.
    got = library.to_numpy(wall(library.asarray(f, dtype)))
    assert got[:3].tolist() == [2.0, -8.0, 11.0]


@pytest.mark.parametrize(
    "name", ["array in front", "flux between walls", "mixture along a wall", "means of neighbours"]
)
def test_half_precision_is_multiplied_in_float32(library, name):
    for dtype in half_dtypes(library):
        f = as_half(library, FIELD, dtype)
        got = feature(name, library.asarray)(f)
        assert got.dtype == f.dtype
        host = half_to_float64(library, got, dtype)
        (exact,) = by_numpy(name, half_to_float64(library, f, dtype))
        # One rounding to 11 or 8 bits; those in float32 turn ties at most.
        eps = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
        np.testing.assert_allclose(host, exact, rtol=eps * 1.01, atol=32e-7 * abs(exact).max())


@pytest.mark.parametrize("name", ["flux between walls", "several outputs of different shapes"])
def test_out_of_a_feature_is_written(library, name):
    if not CLAIMS[library.kind].out or "readonly" in library.name:
        pytest.skip("cannot be written to")
    wanted = by_numpy(name, FIELD)
    out = tuple(library.asarray(np.full(w.shape, 7.0)) for w in wanted)
    given = out if len(out) > 1 else out[0]
    assert feature(name, library.asarray)(library.asarray(FIELD), out=given) is given
    assert_close([library.to_numpy(array) for array in out], wanted)


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_of_a_feature_are_not_changed_and_may_be_changed(library, name):
    if library.kind == "dask":
        pytest.skip("immutable")
    arrays = []

    def make(values):
        arrays.append(library.asarray(values))
        return arrays[-1]

    f = library.asarray(FIELD)
    plan = feature(name, make)
    results = flat(plan(f))
    for array, values in zip(arrays, FEATURES[name][2], strict=True):
        np.testing.assert_array_equal(library.to_numpy(array), values)
    np.testing.assert_array_equal(library.to_numpy(f), FIELD)
    if library.kind == "jax" or "readonly" in library.name:
        return
    for array in arrays:
        array[...] = 0
    # The plan holds what the arrays were when the operator was made.
    for again, before in zip(flat(plan(f)), results, strict=True):
        np.testing.assert_array_equal(library.to_numpy(again), library.to_numpy(before))


OTHERS = [
    ("numpy", "torch"),
    ("numpy", "jax"),
    ("numpy", "dask"),
    ("torch", "jax"),
    ("torch", "dask"),
    ("jax", "torch"),
    ("array_api_strict", "torch"),
    ("torch", "array_api_strict"),
]


@pytest.mark.parametrize(("data", "given"), OTHERS)
def test_arrays_of_another_library_are_refused_and_both_are_named(data, given):
    f, a = array_of(data), array_of(given)
    grid = Grid(Axis(), None)
    walls = Grid(Axis(boundary=Neumann(a[0, :])), None)
    plans = {
        "coefficient": (D(0) * a).on(grid, (4, 4)),
        "value at a wall": D(0, 2).on(walls, (4, 4)),
    }
    for name, plan in plans.items():
        with pytest.raises(ArgumentTypeError, match=f"a {name} is a {given} ") as caught:
            plan(f)
        assert f"f is a {data} " in str(caught.value)


def test_arrays_on_another_device_are_refused_and_both_are_named():
    torch = pytest.importorskip("torch")
    plan = (D(0) * torch.ones(4)).on(Grid(Axis()), (4,))
    with pytest.raises(ArgumentTypeError, match=r"torch \(cpu\).*torch \(meta\)"):
        plan(torch.ones(4, device="meta"))


@on("array_api_strict")
def test_strict_arrays_stay_on_their_device(library):
    xp = library.xp
    device = xp.Device("device1")
    f = xp.asarray(FIELD, device=device)
    for make in (np.asarray, lambda a: xp.asarray(a, device=device)):
        for name in WITH_ARRAYS:
            (result,) = flat(feature(name, make)(f))
            assert result.device == device
    plan = (D(0) * xp.ones(6)).on(Grid(Axis()), (6,))
    with pytest.raises(ArgumentTypeError, match=r"CPU_DEVICE.*device1"):
        plan(xp.ones(6, device=device))


@on("array_api_strict")
@pytest.mark.parametrize("name", FEATURES)
def test_strictest_namespace_is_enough_for_features(strictest, name):
    results = flat(feature(name, strictest.asarray)(strictest.asarray(FIELD)))
    assert_close([strictest.to_numpy(result) for result in results], by_numpy(name, FIELD))


@on("array_api_strict")
def test_arrays_are_float32_on_a_device_without_float64(library):
    xp = library.xp
    device = xp.Device("no_float64")
    f = xp.asarray([0, 1, 4, 9], dtype=xp.int32, device=device)
    grid = Grid(Axis(boundary=Dirichlet(np.asarray(0.5), at="next")))
    got = (D(0, 2) * np.asarray([1.0, 2.0, 3.0, 4.0])).on(grid, (4,))(f)
    assert (got.dtype, got.device) == (xp.float32, device)
    assert [float(value) for value in got] == [1.5, 4.0, 6.0, -54.0]


# --- differentiating through arrays and walls ---------------------------------------------------

#: Features whose result is differentiated by f and by every array.
SMOOTH = ["array between derivatives", "flux between walls", "mixture along a wall"]
SMOOTH += ["slopes along walls", "neighbours of one's own", "array that broadcasts"]


def tensors(torch, name):
    arrays = [FIELD, *FEATURES[name][2]]
    return tuple(torch.asarray(a.copy()).requires_grad_() for a in arrays)


def called(name):
    """The call of a feature as a function of f and its arrays."""
    return lambda f, *arrays: FEATURES[name][0](*arrays)(f)


@on("torch")
@pytest.mark.parametrize("name", SMOOTH)
def test_torch_gradcheck_by_f_and_by_arrays(library, name):
    assert library.xp.autograd.gradcheck(called(name), tensors(library.xp, name))


@on("torch")
@pytest.mark.parametrize("name", SMOOTH)
def test_torch_gradgradcheck_by_f_and_by_arrays(library, name):
    call = called(name)

    def squares(*arrays):
        return (call(*arrays) ** 2).sum()

    assert library.xp.autograd.gradgradcheck(squares, tensors(library.xp, name))


@on("torch")
@torch_forward_mode
def test_torch_forward_mode_by_arrays(library):
    assert library.xp.autograd.gradcheck(
        called("flux between walls"),
        tensors(library.xp, "flux between walls"),
        check_forward_ad=True,
        check_backward_ad=False,
    )


@on("torch")
@pytest.mark.parametrize("name", ["array between derivatives", "flux between walls"])
def test_torch_plan_is_differentiated_as_often_as_it_is_called(library, name):
    torch = library.xp
    f, *arrays = tensors(torch, name)
    plan = FEATURES[name][0](*arrays)
    for _ in range(2):
        (plan(f) ** 2).sum().backward()
    twice = [t.grad for t in (f, *arrays)]
    fresh = tensors(torch, name)
    (called(name)(*fresh) ** 2).sum().backward()
    for got, once in zip(twice, fresh, strict=True):
        assert torch.equal(got, 2 * once.grad)


@on("torch")
def test_torch_gradient_of_a_coefficient_is_what_it_multiplies(library):
    torch = library.xp
    f, a = tensors(torch, "array in front")
    r = torch.asarray(INSIDE[::-1].copy())
    (r * called("array in front")(f, a)).sum().backward()
    (second,) = by_numpy("array in front", FIELD, [1.0])
    # Three products in another order.
    atol = 8 * np.spacing(abs(second).max())
    np.testing.assert_allclose(a.grad.numpy(), r.numpy() * second, rtol=0, atol=atol)


@on("torch")
def test_torch_parameters_of_a_module_may_be_coefficients(library):
    torch = library.xp
    a = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    f = torch.asarray([0.0, 1.0, 4.0, 9.0], dtype=torch.float64)
    result = (a * D(0)).on(Grid(Axis()), (4,))(f)
    assert type(result) is torch.Tensor
    result.sum().backward()
    assert a.grad.tolist() == [0.0, 2.0, 4.0, 6.0]


@on("torch")
@pytest.mark.parametrize("name", ["array between derivatives", "slopes along walls"])
def test_torch_vmap_over_f_leaves_arrays_alone(library, name, rng):
    torch = library.xp
    values = rng.standard_normal((3, 6, 4))
    plan = feature(name, torch.asarray)
    got = torch.func.vmap(plan)(torch.asarray(values))
    assert_close([got.numpy()], [np.stack([by_numpy(name, f)[0] for f in values])])


@on("torch")
def test_torch_vmap_over_a_coefficient_and_over_a_wall(library, rng):
    torch = library.xp
    values = rng.standard_normal((3, 6, 4))
    f = torch.asarray(FIELD)
    call = called("array in front")
    got = torch.func.vmap(lambda a: call(f, a))(torch.asarray(values))
    wanted = np.stack([by_numpy("array in front", FIELD, [a])[0] for a in values])
    assert_close([got.numpy()], [wanted])

    def bounded(f, wall):
        return on_walls(D(0, to="outer"), Dirichlet(wall), "one-sided", edge_order=1)(f)

    walls = rng.standard_normal((3, 4))
    got = torch.func.vmap(bounded, in_dims=(None, 0))(f, torch.asarray(walls))
    np.testing.assert_allclose(got[:, 0].numpy(), (FIELD[0] - walls) / (H / 2), rtol=1e-14)


@on("torch")
def test_torch_func_grad_by_a_coefficient(library):
    torch = library.xp
    f, a = torch.asarray(FIELD), torch.asarray(INSIDE)
    call = called("array in front")
    got = torch.func.grad(lambda a: (call(f, a) ** 2).sum())(a)
    (second,) = by_numpy("array in front", FIELD, [1.0])
    assert_close([got.numpy()], [2 * INSIDE * second**2])


@on("torch")
def test_torch_plan_first_used_under_a_transformation_leaks_nothing(library):
    torch = library.xp
    for transform in (torch.func.vmap, torch.func.jacrev):
        plan = feature("array between derivatives", lambda a: torch.asarray(a).float())
        transform(plan)(torch.asarray(FIELD if transform is torch.func.jacrev else FIELD[None]))
        result = plan(torch.asarray(FIELD))
        assert type(result) is torch.Tensor
        single = INSIDE.astype("float32").astype("float64")
        assert_close([result.numpy()], by_numpy("array between derivatives", FIELD, [single]))


@on("torch")
def test_torch_walls_that_other_axes_act_on_must_be_known(library):
    torch = library.xp
    wall = torch.ones(4, dtype=torch.float64, requires_grad=True)
    grid = Grid(Axis(boundary=Dirichlet(wall)), Axis())
    with pytest.raises(UnsupportedError, match=r"of axis 0 is lazy, traced or records gradients"):
        (D(0) * D(1)).on(grid, (6, 4))


@on("torch")
def test_torch_stays_on_a_device_without_memory(library):
    torch = library.xp
    f = torch.ones(6, 4, device="meta", dtype=torch.float64)
    for make in (np.asarray, lambda a: torch.asarray(a, device="meta")):
        for name in ("array between derivatives", "flux between walls"):
            assert feature(name, make)(f).device.type == "meta"


@on("jax")
@pytest.mark.parametrize("name", ["flux between walls", "complex array", "mixture along a wall"])
def test_jax_jit_with_the_operator_made_inside(library, jax, name):
    compiled = jax.jit(called(name))
    arrays = [library.asarray(a) for a in (FIELD, *FEATURES[name][2])]
    for _ in range(2):
        assert_close([np.asarray(compiled(*arrays))], by_numpy(name, FIELD))
    # Other arrays of the same shape, for which nothing is compiled again.
    others = [a[::-1].copy() if a.ndim else a for a in FEATURES[name][2]]
    got = compiled(arrays[0], *map(library.asarray, others))
    assert_close([np.asarray(got)], by_numpy(name, FIELD, others))


@on("jax")
def test_jax_jit_with_the_operator_made_outside(library, jax):
    name = "flux between walls"
    for make in (np.asarray, library.asarray):
        plan = feature(name, make)
        # The last is another function, so that the plan is traced again.
        for run in (jax.jit(plan), plan, jax.jit(lambda f, plan=plan: 2 * plan(f) / 2)):
            assert_close([np.asarray(run(library.asarray(FIELD)))], by_numpy(name, FIELD))


@on("jax")
def test_jax_vmap_over_arrays(library, jax, rng):
    name = "flux between walls"
    arrays = [rng.standard_normal((3, *np.shape(a))) for a in (FIELD, *FEATURES[name][2])]
    got = np.asarray(jax.vmap(called(name))(*map(library.asarray, arrays)))
    wanted = [by_numpy(name, f, others)[0] for f, *others in zip(*arrays, strict=True)]
    assert_close([got], [np.stack(wanted)])


@on("jax")
@pytest.mark.parametrize("name", ["flux between walls", "mixture along a wall"])
def test_jax_grad_by_f_and_by_arrays_is_that_of_torch(library, jax, name):
    # Torch's own check against differences is above.
    torch = pytest.importorskip("torch")

    def squares(*arrays):
        return (called(name)(*arrays) ** 2).sum()

    inputs = tensors(torch, name)
    squares(*inputs).backward()
    arguments = [library.asarray(t.detach().numpy()) for t in inputs]
    compiled = jax.jit(jax.grad(squares, argnums=tuple(range(len(inputs)))))
    got = [np.asarray(part) for part in compiled(*arguments)]
    assert_close(got, [t.grad.numpy() for t in inputs])


@on("jax")
def test_jax_grad_by_a_coefficient_is_what_it_multiplies(library, jax):
    f = library.asarray(FIELD)
    call = called("array in front")
    got = jax.grad(lambda a: (call(f, a) ** 2).sum())(library.asarray(INSIDE))
    (second,) = by_numpy("array in front", FIELD, [1.0])
    assert_close([np.asarray(got)], [2 * INSIDE * second**2])


@on("jax")
def test_jax_walls_that_other_axes_act_on_must_be_known(library, jax):
    def call(wall, f):
        grid = Grid(Axis(boundary=Dirichlet(wall)), Axis())
        return (D(0) * D(1)).on(grid, (6, 4))(f)

    f = library.asarray(FIELD)
    with pytest.raises(UnsupportedError, match="of axis 0 is lazy, traced or records gradients"):
        jax.jit(call)(library.asarray(ALONG[0]), f)
    np.testing.assert_array_equal(
        np.asarray(call(library.asarray(ALONG[0]), f)), np.asarray(call(ALONG[0], f))
    )


# --- torch tensors that stand for many values, or none -------------------------------------------


def two_arrays(a, b, f):
    return ((D(0, 2) * a) + (D(0) * b)).on(Grid(Axis()), (6,))(f)


def test_torch_vmap_over_two_coefficients():
    torch = pytest.importorskip("torch")
    a, b, f = torch.rand(3, 3, 6).double()
    got = torch.func.vmap(two_arrays)(a, b, f)
    wanted = torch.stack([two_arrays(*parts) for parts in zip(a, b, f, strict=True)])
    assert torch.allclose(got, wanted, rtol=1e-14)


def test_torch_vmap_over_a_mixture_at_a_wall():
    torch = pytest.importorskip("torch")

    def call(value):
        return D(0, 2).on(Grid(Axis(boundary=Robin(2.0, 1.0, value)), None), (6, 3))(f)

    f, walls = torch.rand(6, 3).double(), torch.rand(4, 3).double()
    got = torch.func.vmap(call)(walls)
    assert torch.allclose(got, torch.stack(list(map(call, walls))), rtol=1e-14)


def test_torch_two_arrays_on_a_device_without_memory():
    torch = pytest.importorskip("torch")
    a, b, f = torch.ones(3, 6, device="meta")
    assert two_arrays(a, b, f).device.type == "meta"


@torch_forward_mode
def test_torch_coefficients_that_happen_to_be_equal_have_derivatives_of_their_own():
    torch = pytest.importorskip("torch")
    f = torch.rand(6).double()
    same = torch.ones(6).double()

    def value(a, b):
        return two_arrays(a, b, f).square().sum()

    # By hand: with r = two_arrays, the derivative by b in direction b is 2 r . (D(0) b f).
    wanted = 2 * (two_arrays(same, same, f) * two_arrays(0 * same, same, f)).sum()
    _, tangent = torch.func.jvp(lambda b: value(same, b), (same,), (same,))
    assert torch.allclose(tangent, wanted, rtol=1e-13)
    with torch.autograd.forward_ad.dual_level() as level:
        assert level is not None
        dual = torch.autograd.forward_ad.make_dual(same, same)
        result = torch.autograd.forward_ad.unpack_dual(value(same, dual))
        assert torch.allclose(result.tangent, wanted, rtol=1e-13)
    first, second = same.clone().requires_grad_(), same.clone().requires_grad_()
    value(first, second).backward()
    assert torch.allclose((second.grad * same).sum(), wanted, rtol=1e-13)
    assert not torch.allclose(first.grad, second.grad)


def test_torch_plan_with_an_array_first_used_in_inference_mode():
    torch = pytest.importorskip("torch")
    plan = (D(0) * torch.arange(6.0)).on(Grid(Axis()), (6,))  # float32, to be cast
    f = torch.ones(6, dtype=torch.float64)
    with torch.inference_mode():
        plan(f)
    f.requires_grad_()
    (plan(f) ** 2).sum().backward()
    assert f.grad is not None


@pytest.mark.parametrize("library", ["torch", "array_api_strict", "jax"], indirect=True)
def test_lazy_data_and_arrays_of_another_library_are_refused_and_named(library):
    da = pytest.importorskip("dask.array")
    plan = (D(0) * library.asarray(np.ones(8))).on(Grid(Axis()), (8,))
    with pytest.raises(ArgumentTypeError, match=f"coefficient is a {library.name}.* f is a dask"):
        plan(da.ones(8, chunks=3))


def test_arrays_along_walls_that_are_traced_are_not_kept_for_other_calls():
    jax = pytest.importorskip("jax")
    grid_arguments = {"axis": 0, "accuracy": 2}

    def call(f, value):
        return gradkit.derivative(
            f, 1.0, boundary=(Dirichlet(value), "one-sided"), **grid_arguments
        )

    f = jax.numpy.ones((6, 3))
    with jax.checking_leaks():
        jax.jit(call)(f, jax.numpy.arange(3.0))


def test_arrays_along_walls_that_record_gradients_are_not_kept_for_other_calls():
    torch = pytest.importorskip("torch")
    import gc
    import weakref

    value = torch.ones(3, dtype=torch.float64, requires_grad=True)
    f = torch.ones(6, 3, dtype=torch.float64)
    gradkit.derivative(f, 1.0, axis=0, boundary=(Dirichlet(value), "one-sided")).sum()
    seen = weakref.ref(value)
    del value
    gc.collect()
    assert seen() is None


@on("torch")
@pytest.mark.parametrize("layout", ["sparse_coo", "jagged"])
def test_torch_tensors_that_are_not_dense_are_refused(library, layout):
    torch = library.xp
    dense = torch.eye(4).double()
    if layout == "jagged":
        given = torch.nested.nested_tensor([dense[0], dense[1, :3]], layout=torch.jagged)
    else:
        given = dense.to_sparse()
    words = f"is a {'nested' if given.is_nested else layout} tensor: wanted a dense one"
    for call in (
        lambda: gradkit.gradient(given),
        lambda: gradkit.divergence(given),
        lambda: D(0) * given,
        lambda: gradkit.derivative(dense, given),
        lambda: gradkit.derivative(dense, out=given),
    ):
        with pytest.raises(ArgumentTypeError, match=words):
            call()
