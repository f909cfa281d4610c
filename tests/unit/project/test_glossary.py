"""docs/glossary.md against the program: at most 30 words, and each class that it names is there once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
_ROW = re.compile(r"^\| (?!word |-)(.+?) \| (.+?) \| ?(.*?) ?\|$", re.MULTILINE)


def defined() -> Counter[str]:
    """Classes and type aliases at the top of the program's modules."""
    found: Counter[str] = Counter()
    for path in (ROOT / "migrator").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] += 1
            elif (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and "TypeAlias" in ast.unparse(node.annotation)
            ):
                found[node.target.id] += 1
    return found


def test_each_word_of_the_glossary_means_one_thing() -> None:
    rows = _ROW.findall((ROOT / "docs" / "glossary.md").read_text())
    words = [word for row in rows for word in row[0].split(", ")]
    assert len(words) == len(set(words))
    assert 20 < len(words) <= 30
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row[2])]
    assert len(names) == len(set(names))
    there = defined()
    assert {name: there[name] for name in names} == dict.fromkeys(names, 1)
    named_like_a_word = {"".join(part.capitalize() for part in word.split()) for word in words} & set(there)
    assert named_like_a_word <= set(names), "a class has a word's name and is not what the glossary says"
