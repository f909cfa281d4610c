"""Makes docs/dialects.md from the tests' table of dialects: ``dialects.py > docs/dialects.md``.

Each line of the page is a row that the tests run, so the page cannot promise what is not held.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HEAD = """# Dialects of S3

Servers, proxies and policies differ from AWS S3, and from each other. This page lists what was met and what the program does about it.
Each line is a test in `tests/dialects/`, run with libcurl and with boto3 alone. A way around is for the migration only: where Bytes' own
calls would fail, `doctor` and `migrate` report `bytes-calls`.
"""
_COLUMNS = "\n| met at | what is different | what the program does | test |\n|---|---|---|---|\n"


def page() -> str:
    """The whole page: a table for each file of rows, under the first line of its docstring."""
    sys.path.insert(0, str(ROOT))
    table = importlib.import_module("tests.dialects.table")
    return HEAD + "".join(_section(name, rows) for name, rows in table.all_rows().items())


def _section(name: str, rows: Any) -> str:
    title = (importlib.import_module(f"tests.dialects.{name}").__doc__ or name).strip().splitlines()[0].rstrip(".")
    lines = "".join(
        f"| {_cell(row.met)} | {_cell(row.says)} | {_cell(row.does)} | `{row.name}` |\n" for row in rows if row.met
    )
    return f"\n## {title}\n{_COLUMNS}{lines}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
