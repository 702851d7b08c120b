"""What the README and the documents say: their code runs, their commands and links exist."""

import ast
import doctest
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from gradkit.capabilities import as_markdown

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks_of(document, *languages):
    """The fenced blocks of some languages: ``(line, code)``."""
    text = text_of(document)
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in FENCE.finditer(text)
        if found[1] in languages
    ]


def missing_packages(code):
    """Packages that a block imports and that are not installed here."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def source_of(code):
    """The statements of a block, from its prompts if it has any."""
    if ">>>" not in code:
        return code
    return "".join(example.source for example in doctest.DocTestParser().get_examples(code))


def run_block(code, namespace, document, line):
    """Run a block: as a doctest if it has prompts, else as a script."""
    if ">>>" in code:
        test = doctest.DocTestParser().get_doctest(code, namespace, document, document, line - 1)
        test.globs = namespace
        failures = []
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        runner.run(test, out=failures.append, clear_globs=False)
        assert not runner.failures, "".join(failures)
        return
    # Empty lines in front, so that a traceback shows the line of the document.
    exec(compile("\n" * (line - 1) + code, document, "exec"), namespace)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_blocks_run_in_order(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, code in blocks_of(document, "python", "pycon", "py"):
        missing = missing_packages(source_of(code))
        if missing:
            pytest.skip(f"{document}:{line} needs {', '.join(missing)}")
        run_block(code, namespace, document, line)


def test_readme_shows_code():
    blocks = blocks_of("README.md", "python", "pycon", "py")
    assert any("gradkit" in code for _, code in blocks)


def test_block_that_fails_is_noticed():
    with pytest.raises(ZeroDivisionError):
        run_block("1 / 0\n", {}, "document", 7)
    with pytest.raises(AssertionError, match="Expected"):
        run_block(">>> 1 + 1\n3\n", {}, "document", 7)
    run_block(">>> 1 + 1\n2\n", {}, "document", 7)


# --- tables, extras, commands, links ------------------------------------------------------------


def test_readme_shows_the_capability_table():
    assert as_markdown() in text_of("README.md")


def test_readme_shows_the_capability_table_once():
    header = as_markdown().splitlines()[0]
    assert text_of("README.md").count(header) == 1


def extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


def extras_in(text):
    """Extras that a text installs: ``gradkit[a,b]``, or ``.[a]`` in a clone."""
    groups = re.findall(r"(?:gradkit|(?<![\w\])])\.)\[([a-z][\w,\s-]*)\]", text)
    return {name.strip() for group in groups for name in group.split(",")}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_extras_that_a_document_installs_exist(document):
    assert extras_in(text_of(document)) <= extras()


def test_extras_install_what_some_module_imports():
    """But those of who works on gradkit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "gradkit").rglob("*.py")]
    for extra in extras() - {"test", "docs", "dev"}:
        for needed in project["optional-dependencies"][extra]:
            package = re.match(r"[a-z]+", needed)[0]  # cupy-cuda13x brings cupy
            imports = re.compile(rf"^\s*(?:import|from) {package}\b", flags=re.MULTILINE)
            assert any(map(imports.search, sources)), f"{needed} of {extra}"


def test_readme_installs_the_demo_and_the_tests():
    assert {"demo", "test"} <= extras_in(text_of("README.md"))


def test_readme_lists_all_extras_or_none():
    listed = re.search(r"^Extras: (.*?)\n\n", text_of("README.md"), flags=re.MULTILINE | re.DOTALL)
    if listed:
        assert set(re.findall(r"`([\w-]+)`", listed[1])) == extras()


def test_extras_that_messages_name_exist():
    named = set()
    for path in sorted((ROOT / "gradkit").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found = extras_in(text)
        found |= {name for _, name in re.findall(r'MissingPackageError\("(\w+)", "(\w+)"', text)}
        assert found <= extras(), path.name
        named |= found
    assert "cuda13" in named


def commands_of(document):
    """Calls of the command line in shell blocks: lists of words after ``gradkit``."""
    lines = "\n".join(code for _, code in blocks_of(document, "sh", "bash", "console"))
    for line in lines.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;|\|", line.partition(" #")[0].removeprefix("$ ")):
            words = shlex.split(part)
            if words and Path(words[0]).name == "gradkit":
                yield words[1:]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_their_options_exist(document):
    pytest.importorskip("click", reason="the command line needs the extra cli")
    cli = pytest.importorskip("gradkit.cli", reason="the command line needs the extra cli")
    for words in commands_of(document):
        command = cli.app.commands.get(words[0]) if words else None
        assert command is not None, f"gradkit {' '.join(words)}: no such command"
        known = {name for option in command.params for name in option.opts + option.secondary_opts}
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help", "-h"}, f"gradkit {' '.join(words)}"


def test_readme_calls_the_command_line():
    assert ["demo"] in list(commands_of("README.md"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_files_lead_somewhere(document):
    text = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert ((ROOT / document).parent / target).exists(), f"{document} links to {target}"


@pytest.mark.skipif(not (ROOT / "docs/design.md").exists(), reason="no docs/design.md")
def test_design_names_every_module():
    text = text_of("docs/design.md")
    for path in sorted((ROOT / "gradkit").rglob("*.py")):
        name = path.relative_to(ROOT / "gradkit")
        if str(name) == "__init__.py" or (path.name == "__init__.py" and not path.stat().st_size):
            continue
        wanted = f"{name.parent.name}/" if path.name == "__init__.py" else path.name
        assert wanted in text, f"docs/design.md does not say what {name} is for"
