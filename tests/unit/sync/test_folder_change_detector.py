"""Looking at a source again and again: what came in is found, once, and nothing else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from migrator.core.entities import Entry, Provisional, RawId, Shard
from migrator.core.tally import Count
from migrator.stores.disk.source import DiskSource
from migrator.sync.folder_change_detector import AT_MOST_EACH, ChangeDetector, Changes, Lag, Rest
from migrator.sync.messages import ProgressEvent
from tests import corpus
from tests.fakes import SECOND_NS, Clock

ORGANIZATIONS = ("alpha", "b1")


class Looked:
    """A lookout over a data folder, and what it found by raw id."""

    def __init__(self, root: Path, settle: float = 0) -> None:
        self.root = root
        self.clock = Clock()
        self.detector = ChangeDetector(DiskSource(root), settle_ns=int(settle * SECOND_NS), clock_ns=self.clock.ns)
        self.detector.remember(ORGANIZATIONS)

    def found(self) -> set[str]:
        return {entry.raw_id for entries in self.detector.changes().entries.values() for entry in entries}

    def add(self, organization: str = "alpha", content: bytes = b"new") -> str:
        return corpus.add_raw_file(self.root, organization, content).name


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    corpus.make_store(tmp_path, {"alpha": 300, "b1": 50}, sizes=20)
    return Looked(tmp_path)


def test_what_comes_in_is_found_once(looked: Looked) -> None:
    looked.found()  # the youngest of those that were there may be met again: no clock tells it from a new one
    assert looked.found() == set()
    for _ in range(50):
        fresh = {looked.add(organization) for organization in ORGANIZATIONS for _ in range(3)}
        found = looked.found()
        assert fresh <= found
        again = found - fresh  # in one tick of the file system's clock with something new beside it
        assert {raw_id[:3] for raw_id in again} <= {raw_id[:3] for raw_id in fresh}
        assert looked.found() == set()


def test_only_a_raw_file_is_found(looked: Looked) -> None:
    looked.found()
    folder = next(path for path in (looked.root / "alpha").iterdir() if path.is_dir())
    (folder / "notes.txt").write_bytes(b"no raw file")
    next(path for path in folder.iterdir() if path.name != "notes.txt").unlink()
    assert looked.found() == set()


def test_a_clock_that_went_back_hides_nothing(looked: Looked) -> None:
    """All raw files of the folder are met again then: whoever brings them sees that they are there."""
    raw_id = looked.add()
    seen, shard = looked.detector._seen["alpha"], Shard("alpha", raw_id[:3])
    [folder] = DiskSource(looked.root).folders(shard)
    seen.put(folder.prefix, folder.fingerprint._replace(changed_ns=folder.fingerprint.changed_ns + 3_600 * SECOND_NS))
    assert raw_id in looked.found()


def test_a_young_raw_file_is_found_again_only_if_it_grew(tmp_path: Path) -> None:
    corpus.make_store(tmp_path, {"alpha": 5, "b1": 1}, sizes=20)
    looked = Looked(tmp_path, settle=30)
    raw_id = looked.add(content=b"the beginning")
    [entry] = [
        entry for entries in looked.detector.changes().entries.values() for entry in entries if entry.raw_id == raw_id
    ]
    looked.clock.seconds = entry.changed_ns / SECOND_NS + 1
    copy = Provisional("alpha", entry.raw_id, entry.size, entry.changed_ns, "mark")
    looked.detector.on_event(ProgressEvent(organization="alpha", provisional=[copy]))
    assert looked.found() == set()
    with open(tmp_path / "alpha" / raw_id[:3] / raw_id, "ab") as file:
        file.write(b" and the rest")
    found = looked.detector.changes()
    assert {entry.raw_id for entry in found.entries["alpha"]} == {raw_id}
    [assignment] = found.assignments(looked.detector.young)
    assert assignment.provisional == {entry.raw_id: copy}, "so that our own copy may be replaced"


def test_young_raw_files_are_forgotten_when_they_are_old_or_gone(tmp_path: Path) -> None:
    corpus.make_store(tmp_path, {"alpha": 3, "b1": 1}, sizes=20)
    looked = Looked(tmp_path, settle=30)
    names = [path.name for path in tmp_path.glob("alpha/*/*")]
    copies = []
    for name in names:
        status = os.stat(tmp_path / "alpha" / name[:3] / name)
        copies.append(Provisional("alpha", RawId(name), status.st_size, status.st_ctime_ns, "mark"))
    looked.detector.on_event(ProgressEvent(organization="alpha", provisional=copies))
    (tmp_path / "alpha" / names[0][:3] / names[0]).unlink()
    looked.clock.seconds = max(copy.changed_ns for copy in copies) / SECOND_NS + 29
    looked.found()
    assert set(looked.detector.young["alpha"]) == set(names[1:])
    looked.detector.on_event(ProgressEvent(organization="alpha", settled=[("alpha", RawId(names[1]))]))
    looked.clock.advance(2)
    looked.found()
    assert looked.detector.young["alpha"] == {}


def test_glances_that_cost_little_come_round(looked: Looked) -> None:
    looked.found()
    assert not any(looked.detector.glance(0) for _ in range(100))
    raw_id = looked.add("b1")
    glances = next(count for count in range(1, 100) if looked.detector.glance(0))
    assert glances <= len(ORGANIZATIONS) * 16 + 2, "each of 16 parts of an organization has its turn"
    assert looked.found() == {raw_id}
    looked.add()
    assert looked.detector.glance(60), "with time enough, one glance sees it"


def test_many_raw_files_are_several_units() -> None:
    generator = random.Random(1)
    entries = [Entry(RawId(corpus.new_raw_id(generator)), 1) for _ in range(2 * AT_MOST_EACH + 1)]
    units = list(Changes({"alpha": entries}).assignments({}))
    assert [len(unit.entries or ()) for unit in units] == [AT_MOST_EACH, AT_MOST_EACH, 1]
    assert [entry for unit in units for entry in unit.entries or ()] == entries


def test_the_lag_is_of_what_came_while_watching() -> None:
    lag = Lag(since_ns=100 * SECOND_NS)
    old, new = Entry(RawId("a"), 5, None, 0, 50 * SECOND_NS), Entry(RawId("b"), 7, None, 0, 101 * SECOND_NS)
    lag.found(Changes({"alpha": [old, new]}), 103 * SECOND_NS)
    assert (lag.files, lag.seconds, lag.largest_seconds) == (2, 53, 0)
    lag.on_event(ProgressEvent(organization="alpha", copied=[old]))
    assert (lag.files, lag.largest_seconds) == (1, 0)
    lag.on_event(ProgressEvent(organization="alpha", copied=[new]))
    assert (lag.files, lag.seconds) == (0, 0)
    assert lag.largest_seconds > 0
    assert lag.copied == Count(2, 12)


def test_rests_grow_while_nothing_comes_and_end_when_something_does() -> None:
    rest = Rest()
    rests = [rest.after(0.1, found=False) for _ in range(10)]
    assert rests == sorted(rests)
    assert rests[-1] >= 0.1 * 100, "less than 1 % of a core"
    assert rest.after(0.1, found=True) == Rest.SHORTEST
    assert rest.after(2.0, found=True) == 8
