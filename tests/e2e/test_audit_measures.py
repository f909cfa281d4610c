"""An audit of a million rows against a million files: its memory does not grow with them, and it takes less than a minute on 2 cores."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

import pytest

from tests import command, corpus
from tests.e2e import ends
from tests.e2e.test_memory import MB, Record
from tests.postgres import Postgres, Row

LARGEST = 150 * MB
FILES = 1_000_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def rows_of(root: Path) -> Iterator[Row]:
    """A row for each file but every tenth, and one without a file for each of those."""
    ended_at = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)
    number = 0
    for organization in sorted(path.name for path in root.iterdir()):
        for path in chain.from_iterable(index.iterdir() for index in (root / organization).iterdir()):
            number += 1
            raw_id = path.name if number % 10 else str(uuid.uuid4())
            yield Row(organization, raw_id, f"sha512:{number:0128x}", ended_at)


@pytest.mark.parametrize("files", [20_000, FILES])
def test_memory_of_an_audit_is_bounded(files: int, postgres: Postgres, data: Path, record_property: Record) -> None:
    corpus.make_store(data, total=files, sizes="empty")
    name = postgres.fresh_database()
    postgres.fill(name, rows_of(data))
    env = {"BYTES_DB_URI": postgres.uri(name)}
    done, memory = command.run_measured("audit", "--json", "--data-dir", data, env=env, timeout=3600)  # type: ignore[arg-type]
    figures = f"{memory.largest / MB:.0f} MB largest, {memory.together / MB:.0f} MB together, {done.seconds:.1f} s"
    record_property(f"audit of {files} rows", figures)
    print(f"audit of {files:,} rows: {figures}")  # noqa: T201 shown with -s
    tenth = files // 10
    assert ends.files(done.expect(1).json()) == {
        "rows": files,
        "readable": files - tenth,
        "missing": tenth,
        "orphaned": tenth,
    }
    assert memory.largest < LARGEST, figures
