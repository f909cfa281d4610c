"""What docstrings name in backticks is there: a name that was changed in the code leads a reader nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "migrator").rglob("*.py"))
OF_OTHERS = {"NACL_SEALBOX", "NO_COLOR", "kat", "KeyCount", "LastModified", "from", "proven_earlier"}
"""Settings, users and elements that S3, Bytes and terminals know, and keys of documents."""
_NAMED = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)(?:\([^`]*\))?`(?!`)")
_FILE = re.compile(r"`(tests/[\w/]+\.py)`")
_NAMING = {"name", "arg", "id", "attr"}
_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _names(trees: Iterable[ast.Module]) -> set[str]:
    found = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    for tree in trees:
        for node in ast.walk(tree):
            found |= {str(vars(node)[field]) for field in _NAMING & vars(node).keys()}
    return found


def test_what_a_docstring_names_is_there() -> None:
    trees = {path: ast.parse(path.read_text()) for path in MODULES}
    names = _names(trees.values()) | OF_OTHERS
    for path, tree in trees.items():
        text = "\n".join(ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, _Documented))
        assert [name for name in _NAMED.findall(text) if name.rpartition(".")[2] not in names] == [], path
        assert [name for name in _FILE.findall(text) if not (ROOT / name).exists()] == [], path
