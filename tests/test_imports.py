"""What importing gradkit loads, which module may import which, and what is public."""

import ast
import importlib
import inspect
import re
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gradkit

PACKAGE = Path(gradkit.__file__).parent

#: Imports only go down or stay on a floor. A module of a package stands on the package's floor.
FLOORS = {
    "errors": 1,
    "_array": 1,
    "_targets": 1,
    "_threads": 1,
    "_dtypes": 1,
    "_values": 1,
    "boundaries": 2,
    "coordinates": 2,
    "grid": 2,
    "line": 2,
    "weights": 2,
    "terms": 2,
    "latex": 2,
    "functions": 2,
    "operators": 2,
    "systems": 2,
    "offsets": 2,
    "places": 2,
    "devices": 2,
    "capabilities": 2,
    "methods": 3,
    "chains": 4,
    "binding": 4,
    "corners": 4,
    "bound": 4,
    "blocks": 4,
    "calls": 4,
    "matrices": 4,
    "report": 4,
    "estimates": 4,
    "renderings": 4,
    "plan": 4,
    "planning": 4,
    "engines": 5,
    "arguments": 6,
    "diagnosis": 6,
    "differences": 6,
    "fields": 6,
    "forms": 6,
    "bench": 6,
    "": 7,
    "demo": 9,
    "cli": 9,
    "__main__": 9,
}

#: In-function imports: packages that need not be installed, the module that needs click, and one
#: of Python that takes long to import.
OPTIONAL = {"click", "cupy", "cupyx", "dask", "jax", "llvmlite", "matplotlib", "numba", "rich"}
OPTIONAL |= {"findiff", "numexpr", "scipy", "torch"}
LAZY = {("__main__", "cli")}
SLOW = {"importlib.metadata"}

HEAVY = OPTIONAL | {"array_api_strict", "pandas", "xarray"}


def name_of(path):
    """Module name below gradkit: ``""`` for the package itself, ``"engines.choice"``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = sorted(SOURCES)


@cache
def tree_of(name):
    return ast.parse(SOURCES[name].read_text())


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@cache
def imports_of(name):
    """Pairs (imported module, whether inside a function), TYPE_CHECKING blocks left out."""
    found = []

    def visit(node, inside):
        if is_type_checking(node):
            for child in node.orelse:
                visit(child, inside)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = full.removeprefix("gradkit.") in SOURCES
                found.append((full if is_module else node.module, inside))
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree_of(name), False)
    return found


def own(imported):
    """Name below gradkit of an imported module, None for other packages."""
    if imported == "gradkit":
        return ""
    return imported.removeprefix("gradkit.") if imported.startswith("gradkit.") else None


def is_cli(name):
    return name.partition(".")[0] == "cli"


def floor(name):
    return FLOORS[name.partition(".")[0]]


# --- what is loaded -----------------------------------------------------------------------------

NEW_PACKAGES = (
    "import sys, numpy.ma, array_api_compat; before = set(sys.modules); {code}\n"
    "new = {{name.partition('.')[0] for name in set(sys.modules) - before}}\n"
    "print(*sorted(new - set(sys.stdlib_module_names)))"
)


@pytest.mark.parametrize(
    "code",
    [
        "import gradkit",
        "import gradkit.capabilities, gradkit.devices, gradkit.errors, gradkit.__main__",
        "import gradkit; gradkit.gradient([1.0, 2.0, 4.0]); gradkit.hessian([[1.0] * 4] * 4)",
        "import gradkit; gradkit.derivative([1, 2, 4], [0.0, 1.0, 3.0], edge_order=1)",
        "import gradkit; gradkit.array_module('cpu'); gradkit.explain_engine([1.0, 2.0])",
    ],
)
def test_nothing_but_numpy_and_the_compatibility_layer_is_loaded(code, fresh_python):
    assert fresh_python(NEW_PACKAGES.format(code=code)).split() == ["gradkit"]


def test_heavy_packages_are_not_loaded(fresh_python):
    loaded = fresh_python("import sys, gradkit; print(*sys.modules)").split()
    assert "gradkit.fields" in loaded
    assert not HEAVY & set(loaded)


# --- which module may import which --------------------------------------------------------------


def test_every_module_has_a_floor():
    missing = {name for name in MODULES if name.partition(".")[0] not in FLOORS}
    assert not missing, f"give {missing} a floor in this test, as docs/design.md has it"


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    for imported, inside in imports_of(name):
        other = own(imported)
        if other is not None and not (inside and (name, other) in LAZY):
            assert other in SOURCES, f"{name} imports {imported}, which does not exist"
            assert floor(other) <= floor(name), f"{name} imports {imported}, which stands above it"


def test_functions_stand_apart_from_the_arrays_side():
    shared = {"errors", "_array", "_dtypes", "_values", "weights"}
    for name in MODULES:
        if name.partition(".")[0] == "functions":
            used = {own(imported) for imported, _ in imports_of(name)} - {None}
            assert all(other.partition(".")[0] in {*shared, "functions"} for other in used), name


def test_no_module_imports_itself_by_way_of_others():
    graph = {
        name: {own(imported) for imported, inside in imports_of(name) if not inside} - {None, name}
        for name in MODULES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_inside_functions_are_of_optional_packages(name):
    inner = {imported for imported, inside in imports_of(name) if inside}
    allowed = {f"gradkit.{other}" for module, other in LAZY if module == name}
    unwanted = {i for i in inner - allowed - SLOW if i.partition(".")[0] not in OPTIONAL}
    assert not unwanted, f"{name} imports {unwanted} inside a function"


@pytest.mark.parametrize("name", MODULES)
def test_optional_packages_are_imported_inside_functions(name):
    if is_cli(name):
        return  # needs click and rich whatever it does; __main__ says so where they are missing
    outer = {imported.partition(".")[0] for imported, inside in imports_of(name) if not inside}
    assert not outer & OPTIONAL


def test_compatibility_layer_is_imported_by_one_module():
    users = {
        name
        for name in MODULES
        if any(imported.partition(".")[0] == "array_api_compat" for imported, _ in imports_of(name))
    }
    assert users == {"_array"}


def test_only_numpy_and_the_compatibility_layer_are_needed():
    needed = {
        imported.partition(".")[0]
        for name in MODULES
        if not is_cli(name)
        for imported, inside in imports_of(name)
        if not inside
    }
    assert needed - set(sys.stdlib_module_names) == {"array_api_compat", "gradkit", "numpy"}


# --- what is public -----------------------------------------------------------------------------


def defined_in(name):
    """Names of the functions and classes, and of all else, that a module defines or re-exports."""
    code, rest = set(), set()
    for node in tree_of(name).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            # Commands of the command line are registered by their decorators.
            command = any("command" in ast.unparse(d) for d in node.decorator_list)
            (rest if command else code).add(node.name)
        elif isinstance(node, ast.Assign):
            rest.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            rest.add(node.target.id)
        elif isinstance(node, ast.ImportFrom) and SOURCES[name].name == "__init__.py":
            rest.update(alias.asname or alias.name for alias in node.names)
    return {n for n in code if not n.startswith("_")}, rest


def all_of(name):
    module = importlib.import_module(f"gradkit.{name}" if name else "gradkit")
    return getattr(module, "__all__", None)


#: Private modules and programs have no public names that others could import with a star.
WITH_ALL = [name for name in MODULES if not name.startswith("_") or all_of(name) is not None]


@pytest.mark.parametrize("name", WITH_ALL)
def test_all_lists_what_a_module_defines(name):
    listed = all_of(name)
    assert listed is not None, f"gradkit.{name} has no __all__"
    assert len(set(listed)) == len(listed)
    code, rest = defined_in(name)
    assert code <= set(listed), f"{name}: not listed: {code - set(listed)}"
    assert set(listed) <= code | rest, f"{name}: not defined: {set(listed) - code - rest}"


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_public_names_of_each_other(name):
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("gradkit"):
            for alias in node.names:
                assert not re.match(r"_[^_]", alias.name) or alias.name in FLOORS, (
                    f"{name} imports {alias.name}, a private name of {node.module}"
                )


def test_public_names_are_sorted():
    assert gradkit.__all__ == sorted(gradkit.__all__)


def test_public_names_of_the_specification_are_there():
    functions = {"gradient", "derivative", "diff", "divergence", "curl", "laplacian", "hessian"}
    values = {"jacobian", "D", "Grid", "Axis", "Operator", "Plan", "FiniteDifference"}
    choices = {"use_engine", "explain_engine", "array_module"}
    assert functions | values | choices <= set(gradkit.__all__)


def test_package_defines_nothing_public_beyond_all():
    _, names = defined_in("")
    assert names - {"__version__", "__all__"} == set(gradkit.__all__)


def sections_of(thing):
    doc = inspect.getdoc(thing) or ""
    found = re.findall(r"^([A-Z][A-Za-z ]+)\n-{3,}$", doc, flags=re.MULTILINE)
    bodies = re.split(r"^[A-Z][A-Za-z ]+\n-{3,}$", doc, flags=re.MULTILINE)
    return dict(zip(["", *found], bodies, strict=True))


FUNCTIONS = [name for name in gradkit.__all__ if inspect.isfunction(getattr(gradkit, name))]
CLASSES = [name for name in gradkit.__all__ if inspect.isclass(getattr(gradkit, name))]


def test_public_names_are_functions_and_classes():
    assert sorted(FUNCTIONS + CLASSES) == gradkit.__all__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_documented(name):
    function = getattr(gradkit, name)
    sections = sections_of(function)
    assert sections[""].strip()
    wanted = {"Returns", "Examples"}
    if inspect.signature(function).parameters:
        wanted |= {"Parameters", "Raises"}
    assert wanted <= set(sections)
    assert ">>>" in sections["Examples"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_documented(name):
    function = getattr(gradkit, name)
    words = set(re.findall(r"\w+", sections_of(function).get("Parameters", "")))
    assert set(inspect.signature(function).parameters) <= words | {"options"}


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "GradkitError"])
def test_class_is_documented(name):
    sections = sections_of(getattr(gradkit, name))
    assert sections[""].strip()
    assert {"Parameters", "Attributes"} & set(sections)
    assert ">>>" in sections["Examples"]


def test_errors_are_documented():
    for name in gradkit.errors.__all__:
        assert inspect.getdoc(getattr(gradkit.errors, name))


SHARED = {"accuracy": 2, "boundary": "one-sided", "period": None, "method": None}
SHARED |= {"nan": "propagate", "unit": "s", "dtype": None, "out": None}

#: The signatures of the specification: positional names, then keywords and their defaults.
SIGNATURES = {
    "gradient": (["f", "spacing"], {"axis": None, "edge_order": 1, **SHARED}),
    "derivative": (["f", "x"], {"x": 1.0, "axis": -1, "order": 1, "edge_order": None, **SHARED}),
    "divergence": (["v", "spacing"], {"axis": None, "edge_order": None, **SHARED}),
    "curl": (["v", "spacing"], {"axis": None, "edge_order": None, **SHARED}),
    "laplacian": (["f", "spacing"], {"axis": None, "edge_order": None, **SHARED}),
    "hessian": (["f", "spacing"], {"axis": None, "edge_order": None, **SHARED}),
    "jacobian": (["v", "spacing"], {"axis": None, "edge_order": None, **SHARED}),
    "diff": (
        ["a", "n", "axis", "prepend", "append"],
        {"n": 1, "axis": -1, "prepend": None, "append": None},
    ),
    "D": (["axis", "order"], {"order": 1, "to": None, "at": None, "stencil": None}),
    "array_module": (["device"], {"device": "auto", "explain": False}),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_is_that_of_the_specification(name):
    positional, defaults = SIGNATURES[name]
    parameters = inspect.signature(getattr(gradkit, name)).parameters
    empty = inspect.Parameter.empty
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    assert [n for n, p in parameters.items() if p.kind is not keyword_only] == positional
    assert {n: p.default for n, p in parameters.items() if p.default is not empty} == defaults
