"""All rows, from all ``rows_*.py`` files beside this one."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.dialects.rows import Row

FILES = sorted(path.stem for path in Path(__file__).parent.glob("rows_*.py"))


def all_rows() -> dict[str, tuple[Row, ...]]:
    """The rows by file. Raises ValueError for a name that stands there twice."""
    found = {name: tuple(importlib.import_module(f"tests.dialects.{name}").ROWS) for name in FILES}
    names = [row.name for rows in found.values() for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two rows are called {', '.join(twice)}")
    return found
