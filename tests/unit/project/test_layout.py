"""The program's folders and names: a class name stands for one class, and a folder is small enough to be handed to a newcomer."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "migrator"
MOST_ENTRIES = 15
A_MODULE_FOR_EACH = {"app", "cli"}  # use cases and commands


def test_a_class_name_stands_for_one_class() -> None:
    names: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        names.update(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_folders_are_small_and_say_what_is_in_them() -> None:
    folders = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    entries = {
        folder.relative_to(PACKAGE).as_posix(): len([one for one in folder.iterdir() if one.name[0] not in "_."])
        for folder in folders
    }
    assert {
        name: count for name, count in entries.items() if count > MOST_ENTRIES and name not in A_MODULE_FOR_EACH
    } == {}
    for folder in folders:
        contract = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        assert "In" in contract, f"{folder} does not say what comes in and goes out"
        assert "May import: " in contract, f"{folder} does not say what it may import"
