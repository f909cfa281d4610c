"""Every row of the fault matrix in `docs/reliability.md` has a test, or a reason for having none."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = range(1, 79)
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


@functools.cache
def marked() -> dict[int, set[str]]:
    """Row → the tests that are marked with it, over all of `tests/`."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        for name, row in _marks(ast.parse(text)) if "mark.row(" in text else ():
            found[row].add(name)
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, int]]:
    whole = [node.value for node in module.body if isinstance(node, ast.Assign) and _is_named(node, "pytestmark")]
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for row in _rows([*node.decorator_list, *whole]):
                yield node.name, row


def _is_named(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _rows(nodes: list[ast.expr]) -> Iterator[int]:
    for node in nodes:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.row":
                yield from (argument.value for argument in call.args if isinstance(argument, ast.Constant))


def described() -> dict[int, str]:
    """Row → its line in the page's lists."""
    return {int(match[1]): match[0] for match in re.finditer(r"^(\d+)\. \*\*.*$", PAGE, re.MULTILINE)}


def test_the_page_has_every_row() -> None:
    assert sorted(described()) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_tests_or_a_reason(row: int) -> None:
    assert bool(marked()[row]) != ("No test here: " in described()[row])
