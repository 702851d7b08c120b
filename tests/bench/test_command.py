"""`gradkit bench`, from end to end on small arrays, and its errors."""

import json

import matplotlib.image
import pytest
from click.testing import CliRunner

from gradkit import bench, cli, devices
from gradkit.bench import report

SMALL = ["bench", "--device", "cpu", "--size", "12x11", "--dtype", "float32", "--rounds", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.OnCpu, "shortest", 1e-5)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)


def refused(*arguments):
    """The one line on stderr of a command that must fail before it measures anything."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_run_prints_a_table_and_writes_figures_and_a_chart(folder):
    result = call(*SMALL, "--json", "figures.json", "--chart", "chart.png")
    assert result.exit_code == 0, result.output
    assert "12x11 float32, curl" in result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(line.startswith("12x11 float32 laplacian reference") for line in lines) or any(
        line.startswith("12x11 float32 laplacian cpu") for line in lines
    )
    assert lines[-2:] == ["wrote figures.json", "wrote chart.png"]
    content = json.loads((folder / "figures.json").read_text())
    assert content["device"] == "cpu"
    assert len(content["rows"]) == 12
    assert all(one["share"] > 0 for one in content["rows"])
    picture = matplotlib.image.imread("chart.png")
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert picture[..., :3].std() > 0.05
    assert sorted(p.name for p in folder.iterdir()) == ["chart.png", "figures.json"]


def test_options_choose_what_is_measured():
    result = call(*SMALL, "--case", "laplacian", "--size", "20", "--engine", "reference")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["12x11 float32, laplacian", "20 float32, laplacian"]


def test_cuda_without_a_gpu_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(devices, "find_spec", lambda name: True)
    monkeypatch.setattr(devices, "cuda_unavailable", lambda: "no driver was found")
    message = refused("bench", "--device", "cuda")
    assert "--device cuda" in message
    assert "no driver was found" in message


@pytest.mark.parametrize("size", ["1x1", "1"])
def test_a_size_on_which_nothing_can_be_measured_is_an_error(size):
    result = call("bench", "--device", "cpu", "--size", size, "--rounds", "1", "--json", "all.json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: nothing was measured: " in result.stderr.splitlines()[-1]
    assert size in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("size", ["12y3", "0", "-4", "3x", "x", "1.5", ""])
def test_a_size_that_is_none_is_named(size):
    assert f"--size {size}".strip() in refused(*SMALL, "--size", size)


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--json", "figures.txt", "wanted a name that ends in .json"),
        ("--chart", "chart.pdf", "wanted a name that ends in .png"),
        ("--json", "nowhere/figures.json", "there is no folder nowhere"),
        ("--chart", "nowhere/chart.png", "there is no folder nowhere"),
    ],
)
def test_names_of_files_are_checked_before_the_run(option, name, words):
    message = refused(*SMALL, option, name)
    assert f"{option} {name}" in message
    assert words in message


def test_an_unknown_engine_is_named():
    message = refused(*SMALL, "--engine", "refrence")
    assert "did you mean 'reference'?" in message


def test_libraries_are_chosen_by_name():
    result = call(*SMALL, "--case", "gradient", "--against", "numpy")
    assert result.exit_code == 0
    assert "vs numpy" in " ".join(result.stdout.split())
    assert "vs torch" not in " ".join(result.stdout.split())
    assert "'nunpy'" in refused(*SMALL, "--against", "nunpy")


@pytest.mark.parametrize(
    "arguments", [["--case", "rotation"], ["--dtype", "int8"], ["--rounds", "0"]]
)
def test_words_and_numbers_that_are_none_are_refused(arguments):
    result = call(*SMALL, *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_a_chart_without_matplotlib_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(cli.bench, "find_spec", lambda name: None)
    result = call(*SMALL, "--chart", "chart.png")
    assert result.exit_code == 1
    assert "pip install 'gradkit[bench]'" in result.stderr
    assert result.stdout == ""


def test_a_wrong_number_is_told_and_ends_in_an_error(folder, monkeypatch):
    monkeypatch.setattr(bench, "difference_from_reference", lambda *arguments: "off by 1")
    result = call(*SMALL, "--case", "laplacian", "--json", "figures.json", "--chart", "chart.png")
    assert result.exit_code == 1
    assert "WRONG: 12x11 float32, laplacian (" in result.stdout
    assert "out=: off by 1" in result.stdout
    assert "1 results are wrong" in result.stderr
    (one,) = json.loads((folder / "figures.json").read_text())["rows"]
    assert (one["wrong"], one["share"], one["seconds"]) == ("out=: off by 1", None, {})


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["while measuring", "while writing"])
def test_an_interrupted_run_leaves_no_file_and_keeps_the_older_one(folder, monkeypatch, when):
    (folder / "figures.json").write_text("older")
    if when == "while measuring":
        monkeypatch.setattr(bench, "_timed", interrupt)
    else:
        monkeypatch.setattr("os.fsync", interrupt)
    result = call(*SMALL, "--case", "laplacian", "--json", "figures.json", "--chart", "chart.png")
    assert result.exit_code == 1
    assert "Aborted" in result.stderr
    assert (folder / "figures.json").read_text() == "older"
    assert [p.name for p in folder.iterdir()] == ["figures.json"]


def test_the_headline_names_the_machine():
    machine = {
        "device": "Fake card",
        "driver": "CUDA 13.2",
        "date": "2026-11-28",
        "versions": {"numpy": "2"},
    }
    found = bench.Result("cuda", machine, 1, (), ())
    assert report.headline(found) == "Fake card, driver CUDA 13.2; 2026-11-28; numpy 2"
