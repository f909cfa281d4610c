"""Deleting stops at the first surprise, whatever it is, and what was not proven again a moment ago stays."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.checks.prune.coordinator import PruneCoordinator
from migrator.checks.prune.deletion import BATCH, BATCH_BYTES, batches
from migrator.checks.prune.deletion_manifest import ManifestOfRun
from migrator.checks.prune.ends import Ends, Remover
from migrator.checks.prune.messages import Event, Unit
from migrator.checks.prune.proof import ProofScope
from migrator.checks.prune.tallies import Pruned
from migrator.checks.prune.worker import PruneWorker
from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag, StopFlag
from migrator.core.entities import Digests, Entry, RawFile, RawId, Shard
from migrator.core.errors import Interrupted, MustStop, StoreError, Unreadable
from migrator.core.notices import Notify
from migrator.core.protocols import Source
from migrator.engines.single_thread import UnitQueue
from migrator.stores.disk import source as disk
from migrator.stores.disk.source import DiskSource
from migrator.sync.manifest_reader import ROWS, SUMS
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule
from tests.memory_store import MemoryStore

RAW_FILES = [RawFile("org", raw_id(f"{number:04}")) for number in range(10)]


class Removes:
    """Deletes from a memory store, but for what it is told to fail at."""

    deletes_one_by_one = False

    def __init__(self, store: MemoryStore, fails_at: int = -1) -> None:
        self.store, self.fails_at, self.removed = store, fails_at, list[RawFile]()

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        for raw_file, _ in proven:
            if len(self.removed) == self.fails_at:
                yield raw_file, StoreError("not-deleted", "It was not deleted.")
                return
            self.store.delete(raw_file)
            self.removed.append(raw_file)
            yield raw_file, None

    def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
        mark = RawFile(raw_file.organization, raw_id("ffff"))
        self.store.save(mark, b"")
        return mark, lambda: self.store.delete(mark)

    def remove_empty_folders(self) -> int:
        return 0


def scene() -> tuple[MemoryStore, MemoryStore, Ends]:
    source, target = MemoryStore(), MemoryStore()
    for raw_file in RAW_FILES:
        for store in (source, target):
            store.save(raw_file, raw_file.raw_id.encode())
    return (
        source,
        target,
        Ends(source=source, target=target),
    )


@dataclass
class Near:
    """A store that gives small raw files in one go, as disks do."""

    store: Source
    but: RawFile | None = None

    def read_whole(self, raw_file: RawFile, largest: int) -> tuple[bytes, Entry]:
        entry = self.store.stat(raw_file)
        if entry is None or raw_file == self.but:
            raise Unreadable("unreadable", "It cannot be read.")
        with self.store.open(raw_file, entry) as content:
            return content.read(entry.size), entry


def in_one_go(ends: Ends) -> Ends:
    """The same ends with small raw files given at once."""
    return replace(ends, near_source=Near(ends.source), near_target=Near(ends.target))


class Here:
    """One worker in a thread. Units and events are pickled, as on their way to a process."""

    workers = 1

    def __init__(self, manifest: ManifestOfRun | None, scope: ProofScope, halt: Flag) -> None:
        self._manifest, self._scope, self._halt = manifest, scope, halt
        self._events: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    @contextmanager
    def working(self, ends: Ends, remover: Remover) -> Iterator[None]:
        self._units: UnitQueue[Unit] = UnitQueue()
        worker = PruneWorker(
            ends,
            self._scope,
            remover=lambda: remover,
            manifest=self._manifest,
            samples=True,
            halt=self._halt,
            send=lambda event: self._events.put(pickle.dumps(event)),
        )
        thread = threading.Thread(target=worker.run, args=(self._units,))
        thread.start()
        try:
            yield
        finally:
            self._units.queue.put(None)
            thread.join()

    def submit(self, unit: Unit) -> None:
        self._units.queue.put(pickle.loads(pickle.dumps(unit)))

    def next_event(self, timeout: float) -> Event | None:
        event: Event = pickle.loads(self._events.get(timeout=20))
        return event


class Run:
    """A coordinator with a worker."""

    def __init__(
        self,
        manifest: ManifestOfRun | None = None,
        scope: ProofScope | None = None,
        *,
        halt: Flag | None = None,
        told: Callable[[str, int], None] = lambda what, count: None,
    ) -> None:
        self.halt, self._manifest = halt or StopFlag(), manifest
        self.engine = Here(manifest, scope or ProofScope(), self.halt)
        self.coordinator = PruneCoordinator(
            self.engine, halt=self.halt, count=lambda what: lambda count: told(what, count)
        )

    @property
    def manifest(self) -> ManifestOfRun:
        assert self._manifest is not None
        return self._manifest

    @property
    def pruned(self) -> Pruned:
        return self.coordinator.pruned

    def prove(self, ends: Ends, *organizations: str) -> Run:
        with self.engine.working(ends, Removes(MemoryStore())):
            self.coordinator.prove(organizations or ("org",), self._manifest)
        return self

    def delete(self, ends: Ends, remover: Remover, *organizations: str, **more: Any) -> None:
        with self.engine.working(ends, remover):
            self.coordinator.delete(self.manifest, organizations or ("org",), **more)


def new_manifest(folder: Path) -> ManifestOfRun:
    manifest = ManifestOfRun(folder / "manifest")
    manifest.prepare()
    return manifest


def proven(ends: Ends, folder: Path, *organizations: str) -> Run:
    return Run(new_manifest(folder)).prove(ends, *organizations)


def test_all_that_was_proven_goes(tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    remover = Removes(source)
    run.delete(ends, remover)
    assert remover.removed == RAW_FILES
    assert run.pruned.overall().deleted.files == len(RAW_FILES)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_not_the_same_is_kept_and_told_why(at_once: bool) -> None:
    source, target, ends = scene()
    altered, shorter, empty, absent, unreadable = RAW_FILES[1:6]
    target.save(altered, b"x" * 36)
    target.save(shorter, b"x")
    source.save(empty, b"")
    target.delete(absent)
    target.unreadable.add(unreadable)
    ends = in_one_go(ends) if at_once else ends
    if at_once:
        ends = replace(ends, near_target=Near(ends.target, but=unreadable))
    run = Run().prove(ends)
    reasons = {problem.raw_id: problem.reason for problem in run.pruned.problems}
    assert list(reasons) == [raw_file.raw_id for raw_file in (altered, shorter, empty, absent, unreadable)]
    assert "the contents differ" in reasons[altered.raw_id]
    assert "another size" in reasons[shorter.raw_id]
    assert "another size" in reasons[empty.raw_id]
    assert run.pruned.overall().deletable.files == len(RAW_FILES) - 5
    assert run.pruned.kept_by == {"unproven": 4, "missing": 1}


def test_what_has_no_date_is_kept_and_counted_where_an_age_was_asked_for() -> None:
    _, _, ends = scene()
    undated = set(RAW_FILES[2:5])
    ends = replace(ends, source=Undated(ends.source, {raw_file.raw_id for raw_file in undated}))
    for ages, went in ((Ages(older_than=4e9), 3), (Ages(newer_than=0.0), 3), (ANY_AGE, 0)):
        run = Run(scope=ProofScope(ages=ages)).prove(ends)
        assert run.pruned.undated == went, ages
        assert run.pruned.overall().deletable.files == len(RAW_FILES) - went


class Undated(FailingStore):
    """A source whose server lists no date for some raw files."""

    def __init__(self, store: Any, raw_ids: set[RawId]) -> None:
        super().__init__(store, Schedule())
        self._raw_ids = raw_ids

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        for entry in super().scan(shard, notify):
            yield entry._replace(modified_ns=0, changed_ns=0) if entry.raw_id in self._raw_ids else entry


def test_what_is_refused_is_kept_though_it_is_at_the_target(tmp_path: Path) -> None:
    """A name that the target would not take is no name that Bytes reads there."""
    _, target, ends = scene()
    store = FailingStore(target, Schedule())
    run = Run(scope=ProofScope(refused=frozenset(["org"]))).prove(replace(ends, target=store))
    assert run.pruned.kept_by == {"refused": len(RAW_FILES)}
    assert run.pruned.overall().deletable.files == 0
    assert not store.schedule.calls, "nothing is asked of the target"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("what", ["source altered", "target altered", "both altered", "target gone", "source gone"])
def test_whatever_changed_after_the_first_proof_ends_it_before_its_batch_goes(
    what: str, at_once: bool, tmp_path: Path
) -> None:
    source, target, ends = scene()
    ends = in_one_go(ends) if at_once else ends
    run = proven(ends, tmp_path)
    raw_file = RAW_FILES[6]
    for store, name in ((source, "source"), (target, "target")):
        if what in (f"{name} altered", "both altered"):
            store.delete(raw_file)
            store.save(raw_file, b"x" * 36)
        elif what == f"{name} gone":
            store.delete(raw_file)
    remover = Removes(source)
    with pytest.raises(MustStop) as caught:
        run.delete(ends, remover)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []


def test_a_deletion_that_fails_ends_it_and_what_went_is_counted(tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    remover = Removes(source, fails_at=4)
    with pytest.raises(MustStop, match="not deleted"):
        run.delete(ends, remover)
    told = run.pruned.overall().as_dict(dry_run=False)
    assert {name: count["files"] for name, count in told.items()} == {
        "discovered": 10,
        "deletable": 10,
        "deleted": 4,
        "kept": 0,
        "pending": 6,
    }


def test_a_target_that_lists_the_mark_and_does_not_find_it_is_the_source(tmp_path: Path) -> None:
    """Some servers answer HEAD late, and one took `127.1` for the name of a bucket: both copies were deleted."""

    class AnswersLate(MemoryStore):
        def stat(self, raw_file: RawFile) -> Entry | None:
            return super().stat(raw_file) if raw_file in RAW_FILES else None

    store = AnswersLate()
    for raw_file in RAW_FILES:
        store.save(raw_file, b"content")
    ends, remover = Ends(source=store, target=store), Removes(store)
    run = proven(ends, tmp_path)
    with pytest.raises(MustStop) as caught:
        run.delete(ends, remover)
    assert caught.value.name == "same-place"
    assert remover.removed == []


def test_a_target_that_is_the_source_is_found_out_by_the_first(tmp_path: Path) -> None:
    source, _, _ = scene()
    ends = Ends(source=source, target=source)
    run = proven(ends, tmp_path)

    remover = Removes(source)
    with pytest.raises(MustStop) as caught:
        run.delete(ends, remover)
    assert caught.value.name == "same-place"
    assert remover.removed == []
    assert set(source.contents()) == set(RAW_FILES), "and the mark is gone"


@pytest.mark.parametrize("fails", ["mark", "look", "take away"])
def test_a_mark_that_fails_ends_it_with_nothing_deleted(fails: str, tmp_path: Path) -> None:
    source, target, ends = scene()
    run = proven(ends, tmp_path)
    fault = StoreError("refused", "It was refused.")

    class Marks(Removes):
        def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
            if fails == "mark":
                raise fault
            mark, take_away = super().mark(raw_file)
            return mark, take_away if fails != "take away" else self.refuse

        def refuse(self) -> None:
            raise fault

    if fails == "look":
        ends = replace(ends, target=FailingStore(target, Schedule({("stat", 1): fault})))
    remover = Marks(source)
    with pytest.raises(MustStop, match="It was refused") as caught:
        run.delete(ends, remover)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []
    assert fails == "take away" or set(source.contents()) == set(RAW_FILES)


# --- being asked to stop ---------------------------------------------------------------------------------------------


INTERRUPTED = Interrupted("interrupted", "The run was asked to stop.")


def test_a_stop_while_it_proves_keeps_no_raw_file_for_a_reason_of_its_own(tmp_path: Path) -> None:
    """The last raw files of all are under way when it comes: nothing is proven then, and nothing is wrong with them."""
    _, target, ends = scene()
    ends = replace(ends, target=FailingStore(target, Schedule({("open", 8): INTERRUPTED})))
    run = Run()
    with pytest.raises(Interrupted):
        run.prove(ends)
    assert run.pruned.problems == []
    assert run.pruned.overall().kept.files == 0


@pytest.mark.parametrize("where", ["stat", "open"])
def test_a_stop_while_it_proves_again_is_no_surprise(where: str, tmp_path: Path) -> None:
    source, target, ends = scene()
    run = proven(ends, tmp_path)
    ends = replace(ends, target=FailingStore(target, Schedule({(where, 5): INTERRUPTED})))
    remover = Removes(source)
    with pytest.raises(Interrupted):
        run.delete(ends, remover)
    assert remover.removed == []


def test_what_a_remover_raises_ends_it_and_what_went_is_counted(tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)

    class Raises(Removes):
        def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
            yield from super().remove(proven[:3])
            raise StoreError("refused", "It was refused.")

    with pytest.raises(MustStop, match="It was refused") as caught:
        run.delete(ends, Raises(source))
    assert caught.value.name == "prune-surprise"
    assert run.pruned.overall().deleted.files == 3


def test_a_stop_between_batches_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.checks.prune.coordinator.BATCH", 4)
    source, _, ends = scene()

    def told(what: str, count: int) -> None:
        if what == "deleted":
            assert count == 4
            run.halt.set()

    run = Run(new_manifest(tmp_path), told=told).prove(ends)
    remover = Removes(source)
    run.delete(ends, remover)
    assert remover.removed == RAW_FILES[:4]
    assert run.pruned.overall().deleted.files == 4


def test_a_stop_while_it_lists_ends_the_proof(tmp_path: Path) -> None:
    _, _, ends = scene()
    stopping = StopFlag()
    stopping.set()
    run = Run(halt=stopping)
    with pytest.raises(Interrupted):
        run.prove(ends)
    assert run.pruned.overall().discovered.files == 0


def test_each_organization_is_tried_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may be one place under two names, and the others not."""
    monkeypatch.setattr("migrator.checks.prune.coordinator.BATCH", 4)
    source, target, ends = scene()
    for raw_file in RAW_FILES:
        for store in (source, target):
            store.save(RawFile("other", raw_file.raw_id), b"x")
    run = proven(ends, tmp_path, "org", "other")
    seen: list[tuple[str, int]] = []

    class Marks(Removes):
        def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
            seen.append((raw_file.organization, len(self.removed)))
            return super().mark(raw_file)

    settled: list[int] = []
    remover = Marks(source)
    ends = replace(ends, settle=lambda: settled.append(len(remover.removed)))
    run.delete(ends, remover, "org", "other")
    assert seen == [("org", 0), ("other", 10)]
    assert settled == [0, 4, 8, 10, 14, 18], "before each batch"
    assert source.contents() == {}


# --- the target's medium ---------------------------------------------------------------------------------------------


def test_the_target_is_brought_to_its_medium_before_anything_goes(tmp_path: Path) -> None:
    """Another tool may have written it a second ago: reading shows what is in memory."""
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    remover = Removes(source)
    seen: list[int] = []
    run.delete(replace(ends, settle=lambda: seen.append(len(remover.removed))), remover)
    assert seen == [0]


def test_a_target_that_cannot_be_brought_to_its_medium_ends_it(tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)

    def fails() -> None:
        raise StoreError("unreadable", "The disk fails.")

    remover = Removes(source)
    with pytest.raises(MustStop, match="The disk fails") as caught:
        run.delete(replace(ends, settle=fails), remover)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []


def test_settling_a_disk_tells_what_its_medium_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DiskSource(tmp_path)
    store.settle()

    def fails(fd: int) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk, "sync_filesystem", fails)
    with pytest.raises(StoreError, match="Input/output error"):
        store.settle()
    store.close()
    DiskSource(tmp_path / "missing").settle()


# --- batches ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([0, 1, 1 << 20, 1 << 29, (1 << 30) - 1, 1 << 30, 1 << 33]), max_size=40))
def test_batches_have_every_row_once_and_none_is_too_large(sizes: list[int]) -> None:
    rows = [(RawFile("org", raw_id(f"{number:04}")), Digests(size, "", "")) for number, size in enumerate(sizes)]
    found = list(batches(iter(rows)))
    assert [row for batch in found for row in batch] == rows
    for batch in found:
        assert len(batch) == 1 or sum(row[1].size for row in batch) <= BATCH_BYTES
    for batch, after in pairwise(found):
        assert sum(row[1].size for row in (*batch, after[0])) > BATCH_BYTES


def test_small_ones_come_in_batches_of_so_many() -> None:
    row = (RAW_FILES[0], Digests(1, "", ""))
    assert [len(batch) for batch in batches([row] * (2 * BATCH + 1))] == [BATCH, BATCH, 1]


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_only_so_many_problems_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.checks.prune.tallies.PROBLEMS_SHOWN", 3)
    _, target, ends = scene()
    for raw_file in RAW_FILES:
        target.delete(raw_file)
    run = Run().prove(ends)
    assert (len(run.pruned.problems), run.pruned.problems_total) == (3, len(RAW_FILES))


# --- the manifest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_disk_that_is_full_at_the_end_of_a_manifest_is_told_as_that(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, ends = scene()
    run = Run(new_manifest(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(MustStop, match="No space left") as caught:
        run.prove(ends)
    assert caught.value.name == "manifest-unwritable"


def test_what_ended_a_proof_is_told_and_not_that_its_manifest_has_no_room_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, target, ends = scene()
    ends = replace(ends, target=FailingStore(target, Schedule({("open", 8): INTERRUPTED})))
    run = Run(new_manifest(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Interrupted):
        run.prove(ends)


def test_a_manifest_is_durable_with_its_names_before_anything_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names too: a file that is on the medium in a folder that does not name it is lost."""
    _, _, ends = scene()
    synced: list[str] = []
    fsync = os.fsync

    def remember(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", remember)
    folder = str(proven(ends, tmp_path).manifest.folder)
    parts = [f"{folder}/.org{kind}.part" for kind in (SUMS, ROWS)]
    assert {*parts, folder, str(tmp_path)} <= set(synced)
    assert synced[-1] == folder
    assert synced.index(parts[-1]) == len(synced) - 2


@pytest.mark.parametrize("what", ["gone", "cut", "no JSON", "no text"])
def test_a_manifest_that_cannot_be_read_any_more_ends_it(what: str, tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    path = run.manifest.folder / "org.ndjson"
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:50], "no JSON": b"[]\n", "no text": b"\xff\n"}[what])
    remover = Removes(source)
    with pytest.raises(MustStop, match=r"org\.ndjson cannot be read any more") as caught:
        run.delete(ends, remover)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []


def test_a_manifest_is_for_this_user_alone_and_never_over_another(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _, _, ends = scene()
        manifest = proven(ends, tmp_path).manifest
    finally:
        os.umask(before)
    assert manifest.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in manifest.folder.iterdir()} == {0o600}
    kept = (manifest.folder / "org.ndjson").read_bytes()
    with pytest.raises(MustStop) as caught:
        manifest.prepare()
    assert caught.value.name == "manifest-unwritable"
    assert (manifest.folder / "org.ndjson").read_bytes() == kept


# --- folders, marks and a running Bytes ------------------------------------------------------------------------------


def test_each_folder_that_could_be_mounted_is_tried_and_each_batch_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.checks.prune.coordinator.BATCH", 4)
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    marked: list[str] = []
    held: list[int] = []

    class Marks(Removes):
        def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
            marked.append(raw_file.raw_id[:4])
            return super().mark(raw_file)

    remover = Marks(source)
    in_pairs = {name: str(number // 2) for number, name in enumerate(RAW_FILES)}
    ends = replace(ends, folder_of=in_pairs.__getitem__)
    run.delete(ends, remover, still_held=lambda organization: held.append(len(remover.removed)))
    assert marked == [f"{number:04}" for number in (0, 2, 4, 6, 8)]
    assert held == [0, 4, 8]


def test_a_folder_that_is_both_ends_is_found_before_anything_is_proven_of_it(tmp_path: Path) -> None:
    _, _, ends = scene()
    ends = replace(ends, folder_of=lambda raw_file: raw_file.raw_id, is_one_folder=lambda one: one == RAW_FILES[7])
    with pytest.raises(MustStop) as caught:
        proven(ends, tmp_path)
    assert caught.value.name == "same-place"


def test_a_place_that_is_not_held_any_more_ends_it(tmp_path: Path) -> None:
    source, _, ends = scene()
    run = proven(ends, tmp_path)

    def lost(organization: str) -> None:
        raise MustStop("mark-lost", "The mark is gone.")

    remover = Removes(source)
    with pytest.raises(MustStop) as caught:
        run.delete(ends, remover, still_held=lost)
    assert caught.value.name == "mark-lost"
    assert remover.removed == []


def test_a_place_that_bytes_reads_under_another_name_is_found_by_the_mark(tmp_path: Path) -> None:
    source, target, ends = scene()
    run = proven(ends, tmp_path)
    remover = Removes(source)
    with pytest.raises(MustStop, match="a proxy") as caught:
        run.delete(replace(ends, read_by_bytes=(("a proxy", source),)), remover)
    assert caught.value.name == "bytes-reads-the-source"
    assert remover.removed == []
    run = proven(ends, tmp_path / "again")
    run.delete(replace(ends, read_by_bytes=(("another", target),)), remover)
    assert len(remover.removed) == len(RAW_FILES)


class AsksNobody:
    """Notes what it is asked for, and refuses the raw files that it is told to."""

    def __init__(self, refuses: frozenset[RawFile] = frozenset()) -> None:
        self.refuses = refuses
        self.asked: list[tuple[int, list[RawFile]]] = []
        self.removed: list[RawFile] = []

    def before(self, raw_files: Sequence[RawFile]) -> None:
        raise AssertionError("asked by the caller")

    def after(self, raw_files: Sequence[RawFile]) -> None:
        self.asked.append((len(self.removed), list(raw_files)))
        if self.refuses & set(raw_files):
            raise MustStop("bytes-misses-deleted-files", "It is not answered.")


@pytest.mark.parametrize(("first", "stops"), [(6, False), (6, True), (100, False), (100, True)])
def test_bytes_is_asked_once_after_the_first_ones_or_all_if_fewer(
    first: int, stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.checks.prune.coordinator.BATCH", 4)
    monkeypatch.setattr("migrator.checks.prune.coordinator.FIRST", first)
    source, _, ends = scene()
    run = proven(ends, tmp_path)
    remover = Removes(source)
    asks = AsksNobody(frozenset(RAW_FILES[:1]) if stops else frozenset())
    asks.removed = remover.removed
    if stops:
        with pytest.raises(MustStop, match="not answered"):
            run.delete(ends, remover, asks=asks)
    else:
        run.delete(ends, remover, asks=asks)
    asked_at = min(first, len(RAW_FILES))
    assert asks.asked == [(asked_at, RAW_FILES[:asked_at])]
    assert len(remover.removed) == (asked_at if stops else len(RAW_FILES))
