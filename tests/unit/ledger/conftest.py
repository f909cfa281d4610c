"""Ledgers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import NOW, RAW_ID, TOTALS, begin, copy_of, folder_of, opened, problem_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "0123456789ab-forth.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path) as made:
        yield made


@pytest.fixture
def filled(path: Path) -> Path:
    with opened(path) as made:
        begin(made, "run-1", NOW)
        made.save_progress("run-1", TOTALS, NOW + 5)
        made.record_finished(folder_of(number) for number in range(600))
        made.record_provisional([copy_of(RAW_ID)])
        made.record_problems("run-1", [problem_of(number) for number in range(50)])
        made.save_abilities("https://s3", {"conditional": True}, NOW)
    return path
