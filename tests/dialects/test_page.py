"""The page of dialects is what the table says."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.dialects.table import all_rows

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "dialects.md").read_text()
    made = runpy.run_path(str(ROOT / "scripts" / "dialects.py"))["page"]()
    assert written == made, "run: python scripts/dialects.py > docs/dialects.md"


def test_each_row_says_where_it_was_met_and_what_is_done() -> None:
    for rows in all_rows().values():
        for row in rows:
            assert row.met, row.name
            assert row.says, row.name
            assert row.does, row.name
