"""The command line: files in and out, one-line errors, tables; without its packages, advice."""

import datetime
import os
import stat
import subprocess
import sys
import zipfile

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

import gradkit
from gradkit import cli, devices


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own, on the CPU unless it says otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADKIT_DEVICE", "cpu")
    return tmp_path


@pytest.fixture
def f(rng):
    return rng.normal(size=(6, 7))


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)


def good(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments):
    """The one line on stderr of a command that must fail."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def table(result):
    """The rows of the table of `gradkit gradient`, as lists of words."""
    lines = result.stdout.splitlines()
    rows = (line.replace(", ", ",").split() for line in lines)
    return [row for row in rows if row and row[0].isdigit()]


# --- what is written ----------------------------------------------------------------------------


def test_gradient_of_npy_is_that_of_numpy_one_array_per_axis(f):
    np.save("f.npy", f)
    result = good("gradient", "f.npy", "--spacing", 2.5, "--spacing", -0.3)
    assert "wrote f.gradient.npz" in result.stdout
    with np.load("f.gradient.npz") as file:
        assert file.files == ["d0", "d1"]
        for name, expected in zip(("d0", "d1"), np.gradient(f, 2.5, -0.3), strict=True):
            np.testing.assert_array_equal(file[name], expected, strict=True)


def test_one_spacing_holds_for_all_axes(f):
    np.save("f.npy", f)
    good("gradient", "f.npy", "--spacing", 0.25)
    with np.load("f.gradient.npz") as file:
        np.testing.assert_array_equal(file["d0"], np.gradient(f, 0.25, axis=0))
        np.testing.assert_array_equal(file["d1"], np.gradient(f, 0.25, axis=1))


def test_one_axis_goes_to_npy_and_negative_axes_count_from_the_last(f):
    np.save("f.npy", f)
    good("gradient", "f.npy", "--axis", -1)
    np.testing.assert_array_equal(np.load("f.gradient.npy"), np.gradient(f, axis=1), strict=True)


def test_one_axis_goes_to_npz_on_request_named_after_the_axis(f):
    np.save("f.npy", f)
    good("gradient", "f.npy", "--axis", -1, "-o", "out.npz")
    with np.load("out.npz") as file:
        assert file.files == ["d1"]


def test_axes_may_come_in_any_order_each_with_its_spacing(f):
    np.save("f.npy", f)
    good("gradient", "f.npy", *["--axis", "1", "--axis", "0", "--spacing", "3", "--spacing", "5"])
    with np.load("f.gradient.npz") as file:
        np.testing.assert_array_equal(file["d1"], np.gradient(f, 3.0, axis=1))
        np.testing.assert_array_equal(file["d0"], np.gradient(f, 5.0, axis=0))


def test_a_vector_goes_to_npy(f):
    np.save("f.npy", f[0])
    good("gradient", "f.npy")
    np.testing.assert_array_equal(np.load("f.gradient.npy"), np.gradient(f[0]))


def test_the_result_lies_beside_the_input(folder, f):
    (folder / "data").mkdir()
    np.savez("data/run.npz", f)
    good("gradient", "data/run.npz")
    assert [p.name for p in (folder / "data").iterdir() if p.name != "run.npz"] == [
        "run.gradient.npz"
    ]


def test_integers_become_float64_as_in_numpy():
    counts = np.array([[3, 250, 7], [9, 0, 255]], dtype=np.uint8)
    np.save("f.npy", counts)
    good("gradient", "f.npy", "--axis", 1)
    expected = np.gradient(counts.astype(float), axis=1)
    np.testing.assert_array_equal(np.load("f.gradient.npy"), expected, strict=True)


# --- keys and coordinates -----------------------------------------------------------------------


@pytest.fixture
def x():
    return np.array([0.0, 0.5, 2.0, 2.25, 3.0, 5.0, 5.5])


@pytest.mark.parametrize("given", ["x.npy", "grid.npz:x", "x", "alone.npz", "run.npz:x"])
def test_coordinates_come_from_files_or_from_the_same_npz(f, x, given):
    np.save("x.npy", x)
    np.savez("grid.npz", y=np.arange(6), x=x)
    np.savez("alone.npz", x)
    np.savez("run.npz", u=f, x=x)
    good("gradient", "run.npz", "--key", "u", "--axis", 1, "--coordinates", given)
    # The difference form differs from NumPy's by roundings: a few eps of slopes below 10.
    expected = np.gradient(f, x, axis=1)
    np.testing.assert_allclose(np.load("run.gradient.npy"), expected, rtol=1e-13, atol=1e-14)


def test_coordinates_per_axis(f, x):
    y = np.array([9.0, 7.5, 7.0, 4.0, 1.0, 0.5])
    np.savez("run.npz", u=f, x=x, y=y)
    good("gradient", "run.npz", *["--key", "u", "--coordinates", "y", "--coordinates", "x"])
    with np.load("run.gradient.npz") as file:
        for name, expected in zip(("d0", "d1"), np.gradient(f, y, x), strict=True):
            np.testing.assert_allclose(file[name], expected, rtol=1e-13, atol=1e-14)


def test_coordinates_of_time_count_in_the_unit():
    np.save("f.npy", np.array([0.0, 6.0, 24.0]))
    start = np.datetime64(datetime.datetime(2026, 3, 1))
    np.save("t.npy", start + np.array([0, 2, 6]) * np.timedelta64(1, "h"))
    good("gradient", "f.npy", "--coordinates", "t.npy", "--unit", "h")
    # Slopes 3 and 4.5 per hour; between them (4 * 3 + 2 * 4.5) / 6.
    np.testing.assert_allclose(np.load("f.gradient.npy"), [3, 3.5, 4.5], rtol=1e-15)


def test_an_array_of_an_npz_is_chosen_by_its_name(f):
    np.savez("run.npz", u=f, v=2 * f)
    good("gradient", "run.npz", "--key", "v", "--axis", 0)
    np.testing.assert_array_equal(np.load("run.gradient.npy"), np.gradient(2 * f, axis=0))


def test_the_only_array_of_an_npz_needs_no_name(f):
    np.savez("run.npz", u=f)
    good("gradient", "run.npz")


# --- options ------------------------------------------------------------------------------------


def test_edge_order_two_is_that_of_numpy(f):
    np.save("f.npy", f)
    good("gradient", "f.npy", "--edge-order", 2, "--axis", 0)
    expected = np.gradient(f, axis=0, edge_order=2)
    np.testing.assert_allclose(np.load("f.gradient.npy"), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("edge_order", "exact"), [("interior", True), ("4", True), ("1", False)])
def test_accuracy_four_is_exact_for_polynomials_of_degree_four(edge_order, exact):
    x = np.arange(9.0)
    np.save("f.npy", x**4)
    good("gradient", "f.npy", "--accuracy", 4, "--edge-order", edge_order)
    error = abs(np.load("f.gradient.npy") - 4 * x**3)
    # Values up to 4096 and weights up to 4 leave a few 1e-12.
    assert error[2:-2].max() < 1e-11
    assert (error.max() < 1e-11) == exact


def test_boundary_holds_for_all_axes_or_one_per_axis(f):
    np.save("f.npy", f)
    wrapped = [(np.roll(f, -1, axis) - np.roll(f, 1, axis)) / 2 for axis in (0, 1)]
    good("gradient", "f.npy", "--boundary", "periodic")
    with np.load("f.gradient.npz") as file:
        np.testing.assert_array_equal(file["d0"], wrapped[0])
        np.testing.assert_array_equal(file["d1"], wrapped[1])
    good("gradient", "f.npy", "--force", *["--boundary", "one-sided", "--boundary", "periodic"])
    with np.load("f.gradient.npz") as file:
        np.testing.assert_array_equal(file["d0"], np.gradient(f, axis=0))
        np.testing.assert_array_equal(file["d1"], wrapped[1])


def test_period_closes_coordinates():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False) ** 2 / (2 * np.pi)
    np.savez("run.npz", f=np.sin(angle), angle=angle)
    options = ["--key", "f", "--coordinates", "angle", "--boundary", "periodic", "--accuracy", "6"]
    good("gradient", "run.npz", *options, "--period", 2 * np.pi)
    # Steps up to 0.31: 0.31**6 is 1e-3, the constant of a sixth-order stencil below 1 / 140 of it.
    np.testing.assert_allclose(np.load("run.gradient.npy"), np.cos(angle), rtol=0, atol=1e-5)


# --- what is never written ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "another spelling"])
def test_the_input_is_never_overwritten(folder, f, way):
    np.save("f.npy", f)
    before = (folder / "f.npy").read_bytes()
    name = {"itself": "f.npy", "another spelling": f"../{folder.name}/f.npy"}.get(way, "link.npy")
    if way == "symbolic link":
        (folder / name).symlink_to(folder / "f.npy")
    if way == "hard link":
        (folder / name).hardlink_to(folder / "f.npy")
    message = refused("gradient", "f.npy", "--axis", 0, "-o", name, "--force")
    assert "never overwritten" in message
    assert (folder / "f.npy").read_bytes() == before


def test_an_existing_result_is_replaced_only_with_force(folder, f):
    np.save("f.npy", f)
    (folder / "out.npz").write_text("precious")
    assert "--force" in refused("gradient", "f.npy", "-o", "out.npz")
    assert (folder / "out.npz").read_text() == "precious"
    good("gradient", "f.npy", "-o", "out.npz", "--force")
    with np.load("out.npz") as file:
        assert file.files == ["d0", "d1"]


@pytest.mark.parametrize("name", ["out.npz", "out.npy"])
def test_a_result_is_written_whole_or_not_at_all(folder, f, monkeypatch, name):
    np.save("f.npy", f)
    (folder / name).write_text("older result")

    def disk_full(file, *args, **kwargs):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", disk_full)
    monkeypatch.setattr(np, "savez", disk_full)
    message = refused("gradient", "f.npy", "--axis", 0, "-o", name, "--force")
    assert name in message
    assert "No space left on device" in message
    assert (folder / name).read_text() == "older result"
    assert sorted(p.name for p in folder.iterdir()) == ["f.npy", name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_a_result_has_the_permissions_of_any_new_file(folder, f):
    np.save("f.npy", f)
    good("gradient", "f.npy")
    modes = {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert len(modes) == 1


# --- errors -------------------------------------------------------------------------------------


@pytest.fixture
def bad_files(folder, f):
    np.save("f.npy", f)
    np.save("x.npy", np.arange(7.0))
    np.savez("run.npz", u=f, x=np.arange(7.0), y=np.array([0.0, 1, 1, 2, 3, 4]))
    np.savez("empty.npz")
    np.save("bool.npy", f > 0)
    np.save("text.npy", np.array(["a", "b"]))
    np.save("number.npy", np.float64(3.0))
    np.save("records.npy", np.zeros(9, dtype=[("a", "i4"), ("b", "f8")]))
    np.save("objects.npy", np.array([1, None], dtype=object))
    (folder / "empty.npy").touch()
    (folder / "table.npy").write_text("1 2 3\n")
    (folder / "folder.npy").mkdir()
    with zipfile.ZipFile("zip.npz", "w") as file:
        file.writestr("notes.txt", "hello")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("missing.npy", ["INPUT", "missing.npy", "No such file"]),
        ("folder.npy", ["INPUT", "folder.npy", "directory"]),
        ("empty.npy", ["INPUT", "neither a .npy nor a .npz"]),
        ("table.npy", ["INPUT", "neither a .npy nor a .npz"]),
        ("objects.npy", ["INPUT", "allow_pickle=False"]),
        ("zip.npz", ["INPUT", "notes.txt", "not an array"]),
        ("empty.npz", ["INPUT", "no arrays"]),
        ("run.npz", ["INPUT", "--key", "u, x, y"]),
        ("run.npz --key w", ["'w'", "u, x, y"]),
        ("f.npy --key u", ["f.npy", "'u'"]),
        ("bool.npy", ["INPUT", "bool"]),
        ("text.npy", ["INPUT", "str"]),
        ("records.npy", ["INPUT", "void"]),
        ("number.npy", ["INPUT", "0-dimensional"]),
        ("f.npy --axis 2", ["--axis", "2"]),
        ("f.npy --axis 0 --axis -2", ["--axis", "twice"]),
        ("f.npy --spacing 0", ["spacing", "0"]),
        ("f.npy --spacing nan", ["spacing", "nan"]),
        ("f.npy --spacing 1 --spacing 2 --spacing 3", ["3 spacing", "2 axes"]),
        ("f.npy --spacing 1 --coordinates x.npy", ["--spacing", "--coordinates"]),
        ("f.npy --coordinates x.npy", ["spacing", "2 axes"]),
        ("f.npy --axis 0 --coordinates x.npy", ["7 points", "6"]),
        ("f.npy --axis 1 --coordinates z.npy", ["--coordinates", "z.npy", "No such file"]),
        ("f.npy --axis 1 --coordinates run.npz", ["--coordinates", "run.npz", "u, x, y"]),
        ("f.npy --axis 1 --coordinates run.npz:w", ["--coordinates", "'w'", "u, x, y"]),
        ("run.npz --key u --axis 1 --coordinates w", ["--coordinates", "u, x, y"]),
        ("run.npz --key u --axis 0 --coordinates y", ["--coordinates y", "[2]=1.0 <= "]),
        ("run.npz --key u --axis 0 --coordinates u", ["--coordinates u", "2 dimensions"]),
        ("f.npy --accuracy 0", ["accuracy", "0"]),
        ("f.npy --accuracy 8", ["6 points", "at least"]),
        ("f.npy --edge-order x", ["--edge-order", "x"]),
        ("f.npy --edge-order 0", ["edge_order", "0"]),
        ("f.npy --unit fortnight", ["unit", "fortnight"]),
        ("f.npy --period 3 --boundary periodic", ["--period", "--coordinates"]),
        ("f.npy --axis 0 --coordinates run.npz:y --boundary periodic", ["--coordinates"]),
        ("f.npy -o out.txt", ["--output", "out.txt", ".npz"]),
        ("f.npy -o out.npy", ["--output", "2", "--axis"]),
        ("f.npy -o nowhere/out.npz", ["--output", "nowhere"]),
        ("f.npy --axis 0 -o folder.npy", ["--output", "folder.npy", "folder"]),
    ],
)
def test_a_bad_argument_is_named_in_one_line_and_nothing_is_written(
    folder, bad_files, arguments, words
):
    before = sorted(folder.iterdir())
    message = refused("gradient", *arguments.split())
    for word in words:
        assert word in message
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name", ["f.npy", "f.npz", "packed.npz"])
def test_a_file_cut_short_is_refused_wherever_it_was_cut(folder, f, name):
    np.save("f.npy", f)
    np.savez("f.npz", f)
    np.savez_compressed("packed.npz", f)
    whole = (folder / name).read_bytes()
    for length in range(0, len(whole), 5):
        (folder / "cut").write_bytes(whole[:length])
        assert "INPUT cut" in refused("gradient", "cut", "--force")


def test_a_damaged_archive_is_refused(folder, f):
    np.savez_compressed("f.npz", f)
    data = bytearray((folder / "f.npz").read_bytes())
    data[80] ^= 0xFF
    (folder / "f.npz").write_bytes(data)
    assert "INPUT f.npz" in refused("gradient", "f.npz")


def test_a_pickle_is_never_run(folder):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(folder / "trap"),)

    np.save("f.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez("f.npz", np.array([Trap()], dtype=object))
    refused("gradient", "f.npy")
    refused("gradient", "f.npz")
    assert not (folder / "trap").exists()


# --- the table ----------------------------------------------------------------------------------


def test_the_table_sums_up_each_axis_without_nan(f):
    f[2, 3] = np.nan
    np.save("f.npy", f)
    rows = table(good("gradient", "f.npy"))
    for axis, row in enumerate(rows):
        d = np.gradient(f, axis=axis)
        assert row[:3] == [str(axis), "(6,7)", "float64"]
        expected = [np.nanmin(d), np.nanmax(d), np.sqrt(np.nanmean(d**2))]
        # Six digits are printed.
        np.testing.assert_allclose([float(word) for word in row[3:6]], expected, rtol=1e-5)
        assert row[6] == str(np.isnan(d).sum())


def test_the_table_of_nothing_but_nan():
    np.save("f.npy", np.full(5, np.nan))
    assert table(good("gradient", "f.npy")) == [["0", "(5,)", "float64", *["nan"] * 3, "5"]]


def test_the_table_of_complex_values_holds_magnitudes():
    np.save("f.npy", np.array([0, 3 + 4j, 6 + 8j, 6 + 8j, 6 + 8j]))
    (row,) = table(good("gradient", "f.npy"))
    # Slopes 5, 5, 2.5, 0, 0 along the direction 3 + 4j.
    assert row[2:4] == ["complex128", "(magnitude)"]
    np.testing.assert_allclose([float(word) for word in row[4:7]], [0, 5, 3.3541], rtol=1e-5)


def test_the_root_mean_square_does_not_overflow():
    np.save("f.npy", 1e200 * np.array([0.0, 3.0, 6.0]))
    (row,) = table(good("gradient", "f.npy"))
    assert row[3:6] == ["3e+200"] * 3


def test_a_pipe_gets_one_line_per_row(f, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    np.save("f.npy", f)
    assert len(table(good("gradient", "f.npy"))[0]) == 7


# --- devices ------------------------------------------------------------------------------------


def test_a_device_that_does_not_answer_is_an_error(f, monkeypatch):
    monkeypatch.setattr(devices, "find_spec", lambda name: True)
    monkeypatch.setattr(devices, "cuda_unavailable", lambda: "no driver was found")
    np.save("f.npy", f)
    message = refused("gradient", "f.npy", "--device", "cuda")
    assert "--device cuda" in message
    assert "no driver was found" in message


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
def test_every_device_gives_the_numbers_of_numpy(f, monkeypatch, device):
    monkeypatch.delenv("GRADKIT_DEVICE")
    problem = devices.cuda_unavailable()
    if device == "cuda" and problem is not None:
        pytest.skip(problem)
    np.save("f.npy", f)
    good("gradient", "f.npy", "--device", device, "--axis", 0)
    np.testing.assert_allclose(np.load("f.gradient.npy"), np.gradient(f, axis=0), rtol=1e-14)


class Elsewhere:
    """A stand-in for a library on a device: takes float64 alone."""

    @staticmethod
    def asarray(array):
        if array.dtype != np.float64:
            raise TypeError("only float64")
        return array


def test_a_dtype_that_the_device_lacks_is_computed_on_the_host_or_named(f, monkeypatch):
    monkeypatch.setattr(gradkit, "array_module", lambda device: Elsewhere)
    np.save("f.npy", f.astype(np.float32))
    good("gradient", "f.npy", "--device", "auto")
    message = refused("gradient", "f.npy", "--device", "cuda", "--force")
    assert "float32" in message
    assert "--device cuda" in message


# --- gradkit demo -------------------------------------------------------------------------------


def test_demo_prints_a_table_and_writes_a_picture(folder):
    (folder / "slope.png").write_text("older picture")
    result = good("demo")
    assert "wrote slope.png" in result.stdout
    for words in ("elevation m 236 531 1076", "slope degrees 0 ", "mean curvature 1/km -7"):
        assert words in " ".join(result.stdout.split())
    picture = matplotlib.image.imread("slope.png")
    # Wide enough to read, and not blank.
    assert picture.shape[1] > 1.5 * picture.shape[0] > 1000
    assert picture[..., :3].std() > 0.1
    assert [p.name for p in folder.iterdir()] == ["slope.png"]


@pytest.mark.parametrize("name", ["nowhere/slope.png", "slope.doc"])
def test_demo_checks_the_name_of_the_picture_first(name):
    assert name in refused("demo", "-o", name)


def test_demo_without_matplotlib_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(cli.demo, "find_spec", lambda name: None)
    result = run("demo")
    assert result.exit_code == 1
    assert "pip install 'gradkit[demo]'" in result.stderr
    assert result.stderr.count("\n") == 1


# --- gradkit info -------------------------------------------------------------------------------


def test_info_names_versions_libraries_device_and_engines():
    text = good("info").stdout
    assert f"gradkit {gradkit.__version__}" in text
    assert f"NumPy {np.__version__}" in text
    assert ".".join(map(str, sys.version_info[:3])) in text
    rows = [line.split() for line in text.splitlines()]
    assert ["NumPy", np.__version__] in rows
    assert "array_module(): numpy, because GRADKIT_DEVICE=cpu is set" in text
    engines = [row for row in rows if row and row[0] in ("chunked", "cpu", "reference")]
    assert [row[0] for row in engines] == ["chunked", "cpu", "reference"]
    assert "serves dask arrays, the input is a numpy array" in " ".join(engines[0])
    assert "used: the first that can" in " ".join(engines[1])
    assert "could, if asked for" in " ".join(engines[2])
    assert "kernels for large NumPy arrays: made by Numba" in text


def test_info_tells_how_to_install_what_is_missing(monkeypatch):
    monkeypatch.setattr(cli.info, "find_spec", lambda name: None if name == "dask" else True)
    lines = [" ".join(line.split()) for line in good("info").stdout.splitlines()]
    assert "Dask not installed: pip install 'gradkit[dask]'" in lines


@pytest.mark.parametrize(
    ("value", "words"), [("tpu", "'tpu' is not one of"), ("cuda", "no driver was found")]
)
def test_info_survives_a_device_that_cannot_be_had(monkeypatch, value, words):
    monkeypatch.setenv("GRADKIT_DEVICE", value)
    monkeypatch.setattr(devices, "find_spec", lambda name: True)
    monkeypatch.setattr(devices, "cuda_unavailable", lambda: "no driver was found")
    (line,) = [s for s in good("info").stdout.splitlines() if s.startswith("array_module()")]
    assert words in line


def test_info_imports_no_array_library(fresh_python):
    code = (
        "import sys\n"
        "from gradkit.cli import app\n"
        "app(['info'], standalone_mode=False)\n"
        "print('loaded:', [m for m in ('torch', 'jax', 'dask.array', 'array_api_strict',"
        " 'matplotlib') if m in sys.modules])"
    )
    assert fresh_python(code).rstrip().endswith("loaded: []")


# --- the entry point ----------------------------------------------------------------------------


def test_the_module_runs_as_a_command(root, folder, f):
    np.save("f.npy", f)
    command = [sys.executable, "-m", "gradkit", "gradient", "f.npy", "--spacing", "0.5"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load("f.gradient.npz") as file:
        np.testing.assert_array_equal(file["d1"], np.gradient(f, 0.5, axis=1))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: --output f.gradient.npz: exists; --force replaces it\n"


def test_version():
    assert good("--version").stdout == f"gradkit, version {gradkit.__version__}\n"


@pytest.mark.parametrize("command", [[], ["gradient"], ["demo"], ["bench"], ["info"]])
def test_every_command_has_help(command):
    assert "Usage: " in good(*command, "--help").stdout


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_its_packages_the_command_says_how_to_install_them(fresh_python, package):
    code = (
        "import io, sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from gradkit.__main__ import main\n"
        "sys.stderr = io.StringIO()\n"
        "code = main()\n"
        "print(code, sys.stderr.getvalue(), end='')"
    )
    assert fresh_python(code) == (
        f"1 the command line needs {package}, which is not installed: pip install 'gradkit[cli]'\n"
    )


def test_importing_gradkit_does_not_import_the_command_line(fresh_python):
    code = (
        "import sys, gradkit\n"
        "print([m for m in ('click', 'rich', 'matplotlib', 'gradkit.cli', 'gradkit.demo')"
        " if m in sys.modules])"
    )
    assert fresh_python(code) == "[]\n"
