"""docs/specification.md from tests/spec: every test is a sentence of it.

Law: the tests are read, never run or imported, so a broken one cannot hide the others.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.docs.markdown import generated


def render(folder: Path) -> str:
    """Return the page: a chapter per test file, a line per test, the cases of a table beneath it."""
    files = sorted(folder.rglob("test_*.py"))
    return (
        generated("tests/spec")
        + "# Specification\n\n"
        + "Each line is a test that runs on every change; its name is the sentence.\n\n"
        + "\n".join(_chapter(path, folder) for path in files)
    )


def _chapter(path: Path, folder: Path) -> str:
    module = ast.parse(path.read_text("utf-8"))
    title = " ".join((*path.relative_to(folder).parent.parts, path.stem.removeprefix("test_"))).replace("_", " ")
    intro = ast.get_docstring(module)
    lines = [line for test in tests_of(module) for line in _lines(test)]
    return f"## {title.capitalize()}\n\n" + (f"{intro}\n\n" if intro else "") + "\n".join(lines) + "\n"


def tests_of(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the test functions in the order they are written, also those in classes."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _lines(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    sentence = test.name.removeprefix("test_").replace("_", " ")
    yield f"- {sentence[0].upper()}{sentence[1:]}."
    yield from (f"  - {case}" for case in case_ids(test))


def case_ids(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the ids of `pytest.param(..., id="…")` in the test's decorators."""
    for decorator in test.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.keyword) and node.arg == "id" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)
