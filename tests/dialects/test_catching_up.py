"""What ends a pass with an error while Bytes runs, and is no raw file that is missing: passes of a switch go on after it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from migrator.app.catching_up import CaughtUp, catch_up
from migrator.app.options import Options
from migrator.app.store_factory import held_ledger
from migrator.config.locations import DiskLocation, Locations, S3Access, S3Location, Secret
from migrator.config.rate_limits import Limits
from migrator.core.naming import SingleBucket
from migrator.ledger.directory import StateFolder
from tests import corpus
from tests.dialects.memory import Memory
from tests.dialects.rows import Change, answers
from tests.dialects.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from tests.dialects.scene import dialect_of

BUCKET = "raw"
AT_BOTH = 20


@dataclass
class Ends:
    """A data folder and a bucket with the same raw files, and what a test makes different."""

    data: Path
    memory: Memory
    url: str
    options: Options

    @property
    def locations(self) -> Locations:
        access = S3Access(
            endpoint_url=self.url, region="us-east-1", access_key_id=ACCESS_KEY, secret_access_key=Secret(SECRET_KEY)
        )
        bucket = S3Location(naming=SingleBucket(BUCKET), access=access)
        disk = DiskLocation(root=self.data, folder_mode=0o740, file_mode=0o640)
        return Locations(source=disk, target=bucket, settings=(), findings=())

    def save(self, content: bytes = b"late") -> str:
        """Have the data folder one raw file more; its key in the bucket."""
        path = corpus.add_raw_file(self.data, "alpha", content)
        return f"alpha/{path.name}"

    def up(self, options: Options | None = None, seconds: float = 20.0) -> CaughtUp:
        return catch_up(self.locations, options or self.options, is_back=False, seconds=seconds)

    def down(self) -> CaughtUp:
        there = replace(self.locations, source=self.locations.target, target=self.locations.source)
        return catch_up(there, self.options, is_back=True, seconds=20.0)


@contextmanager
def ends(folder: Path, *changes: Change) -> Iterator[Ends]:
    data = folder / "data"
    store = corpus.make_store(data, {"alpha": AT_BOTH}, sizes=50, age_seconds=86_400)
    memory = Memory()
    memory.buckets[BUCKET] = {}
    for path in store.root.rglob("*-*"):
        memory.put(BUCKET, f"alpha/{path.name}", path.read_bytes())
    options = Options(state=StateFolder(folder / "state"), settle=0.0, patience=20.0)
    with S3Server(memory, dialect_of(changes)).running() as server:
        yield Ends(data, memory, server.url, options)


@dataclass(frozen=True)
class Case:
    """What is in the way of a pass: nothing of it keeps the raw file that came late from the target."""

    name: str
    changes: tuple[Change, ...] = ()
    options: Callable[[Options], Options] = lambda options: options


CASES = [
    Case(
        "the-server-refuses-for-a-moment",
        (answers("PutObject", 500, "InternalError", times=4, when=lambda request: request.key.startswith("alpha/")),),
    ),
    Case("the-listing-fails-once", (answers("ListObjectsV2", 500, "InternalError", times=3),)),
    Case(
        "a-run-may-take-no-time-at-all",
        options=lambda options: replace(options, limits=Limits(duration=0.0)),
    ),
    Case("each-request-has-little-patience", options=lambda options: replace(options, patience=0.1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_no_missing_raw_file_does_not_end_it(case: Case, tmp_path: Path) -> None:
    with ends(tmp_path, *case.changes) as both:
        key = both.save()
        found = both.up(case.options(both.options))
        assert found == CaughtUp(copied=1), found
        assert both.memory.buckets[BUCKET][key].content == b"late"


def test_another_run_that_holds_the_ledger_is_waited_for(tmp_path: Path) -> None:
    with ends(tmp_path) as both:
        both.save()
        with held_ledger(both.locations, both.options):
            found: list[CaughtUp] = []
            waiting = threading.Thread(target=lambda: found.append(both.up()))
            waiting.start()
            busy = both.up(seconds=0.1)
            assert busy.unsure
            assert not busy.lacking
        waiting.join()
        assert found == [CaughtUp(copied=1)]


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_both_ends_have_is_not_read_again_on_the_way_back(way: str, tmp_path: Path) -> None:
    """A pass that reads all of a large store takes so long that something fails meanwhile."""
    with ends(tmp_path) as both:
        both.up()
        saved = "alpha/0123abcd-0000-4000-8000-000000000000"
        both.memory.put(BUCKET, saved, b"saved at the new place")
        both.memory.asked.clear()
        assert getattr(both, way)().is_whole
        assert both.memory.operations["GetObject"] == (1 if way == "down" else 0)


def test_the_way_back_brings_what_is_missing_and_leaves_the_ledger_as_it_is(tmp_path: Path) -> None:
    with ends(tmp_path) as both:
        saved = "0123abcd-0000-4000-8000-000000000000"
        both.memory.put(BUCKET, f"alpha/{saved}", b"saved at the new place")
        assert both.down() == CaughtUp(copied=1)
        assert (both.data / "alpha" / saved[:3] / saved).read_bytes() == b"saved at the new place"
        there = replace(both.locations, source=both.locations.target, target=both.locations.source)
        with held_ledger(there, both.options) as ledger:
            assert not ledger.finished("alpha", ""), "a pass by size alone finishes no folder"


def test_a_raw_file_that_is_another_one_at_the_target_is_named(tmp_path: Path) -> None:
    with ends(tmp_path) as both:
        key = both.save(b"one content")
        both.memory.put(BUCKET, key, b"another one")
        found = both.up()
        assert len(found.lacking) == 1
        assert key.rpartition("/")[2] in found.lacking[0]
        assert not found.unsure


def test_a_raw_file_that_the_server_refuses_is_named(tmp_path: Path) -> None:
    with ends(
        tmp_path, answers("PutObject", 400, "InvalidRequest", when=lambda request: "late" in str(request.body))
    ) as both:
        key = both.save()
        assert key.rpartition("/")[2] in both.up(seconds=0.1).lacking[0]


def test_a_source_that_cannot_be_read_is_no_missing_raw_file(tmp_path: Path) -> None:
    with ends(tmp_path) as both:
        both.data.rename(tmp_path / "elsewhere")
        os.symlink("/nowhere", both.data)
        found = both.up(seconds=0.1)
        assert found.unsure
        assert not found.lacking
