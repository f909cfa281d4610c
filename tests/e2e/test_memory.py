"""Peak memory does not grow with the number of raw files: empty ones serve, for what grows would be names and counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE, PLAN
from tests.servers import S3Server

MB = 1_000_000
LARGEST = 120 * MB
TOGETHER = 250 * MB

Record = Callable[[str, object], None]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def measured(record: Record, what: str, *words: object, env: dict[str, str] | None = None) -> dict[str, int]:
    """Run it, hold its memory against the limits, and give the counted files."""
    done, memory = command.run_measured(*words, env=env, timeout=3600)  # type: ignore[arg-type]
    document = done.expect(0).json()
    oracle.assert_adds_up(document)
    figures = f"{memory.largest / MB:.0f} MB largest, {memory.together / MB:.0f} MB together, {done.seconds:.0f} s"
    record(what, figures)
    print(f"{what}: {figures}")  # noqa: T201 shown with -s
    assert memory.largest < LARGEST, f"{what}: {figures}"
    assert memory.together < TOGETHER, f"{what}: {figures}"
    return ends.files(document)


@pytest.mark.row(74)
@pytest.mark.parametrize("files", [20_000, 500_000])
def test_from_disk_to_disk(files: int, data: Path, tmp_path: Path, record_property: Record) -> None:
    corpus.make_store(data, total=files, sizes="empty")
    words = ("--from", data, "--to", tmp_path / "fresh")
    counted = measured(record_property, "plan, nothing there", *PLAN, *words)
    assert counted == {"discovered": files, "missing": files}
    counted = measured(record_property, "migrate", *MIGRATE, *words)
    assert counted == {"discovered": files, "copied": files}
    counted = measured(record_property, "plan, all there", *PLAN, *words)
    assert counted == {"discovered": files, "present": files}


@pytest.mark.row(74)
@pytest.mark.parametrize("files", [20_000, 500_000])
def test_from_disk_to_s3(
    files: int, weed: S3Server, fresh_names: FreshNames, data: Path, record_property: Record
) -> None:
    corpus.make_store(data, total=files, sizes="empty")
    words = ("--from", data, "--to", ends.template(ends.single(fresh_names)))
    counted = measured(record_property, "plan, nothing there", *PLAN, *words, env=weed.env())
    assert counted == {"discovered": files, "missing": files}
    counted = measured(record_property, "migrate", *MIGRATE, *words, env=weed.env())
    assert counted == {"discovered": files, "copied": files}
    counted = measured(record_property, "plan, all there", *PLAN, *words, env=weed.env())
    assert counted == {"discovered": files, "present": files}


@pytest.mark.row(74)
def test_from_s3_to_disk(
    weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path, record_property: Record
) -> None:
    """With contents and large files, for what would grow here are buffers."""
    store = corpus.make_store(data, total=20_000, large=[64 * corpus.MIB] * 4)
    there = ends.template(ends.single(fresh_names))
    forth = measured(record_property, "migrate to S3", *MIGRATE, "--from", data, "--to", there, env=weed.env())
    assert forth == {"discovered": store.files, "copied": store.files}
    back = ("--from", there, "--to", tmp_path / "fresh")
    counted = measured(record_property, "migrate to disk", *MIGRATE, *back, env=weed.env())
    assert counted == {"discovered": store.files, "copied": store.files}
