"""Deleting stops at the first surprise, whatever it is, and what was not proven again a moment ago stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.ages import ANY_AGE
from migrator.errors import Interrupted, MustStop, StoreError
from migrator.model import Digests, Entry, RawFile
from migrator.prune import BATCH, BATCH_BYTES, Ends, ManifestOfRun, Proving, Pruning, WriteRow, batches
from migrator.stopping import StopFlag
from migrator.stores import disk
from migrator.stores.disk import DiskSource
from migrator.stores.memory import MemoryStore
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule

RAW_FILES = [RawFile("org", raw_id(f"{number:04}")) for number in range(10)]


class Removes:
    """Deletes from a memory store, but for what it is told to fail at."""

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
        Ends(source=source, target=target, small_source=lambda *_: None, small_target=lambda *_: None),
    )


def proven(ends: Ends, folder: Path) -> tuple[Proving, ManifestOfRun]:
    proving = Proving(ends, ages=ANY_AGE, refused=frozenset(), stopping=StopFlag(), told=lambda count: None)
    manifest = ManifestOfRun(folder / "manifest")
    manifest.prepare()
    proving.run(["org"], manifest)
    return proving, manifest


def prune(ends: Ends, remover: Removes, proving: Proving, manifest: ManifestOfRun) -> None:
    Pruning(ends, remover, proving.pruned, stopping=StopFlag(), told=lambda count: None).run(manifest, ["org"])


def test_all_that_was_proven_goes(tmp_path: Path) -> None:
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    remover = Removes(source)
    prune(ends, remover, proving, manifest)
    assert remover.removed == RAW_FILES
    assert proving.pruned.overall().deleted.files == len(RAW_FILES)


@pytest.mark.parametrize("what", ["source altered", "target altered", "both altered", "target gone", "source gone"])
def test_whatever_changed_after_the_first_proof_ends_it_before_its_batch_goes(what: str, tmp_path: Path) -> None:
    source, target, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    raw_file = RAW_FILES[6]
    for store, name in ((source, "source"), (target, "target")):
        if what in (f"{name} altered", "both altered"):
            store.delete(raw_file)
            store.save(raw_file, b"x" * 36)
        elif what == f"{name} gone":
            store.delete(raw_file)
    remover = Removes(source)
    with pytest.raises(MustStop) as caught:
        prune(ends, remover, proving, manifest)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []


def test_a_deletion_that_fails_ends_it_and_what_went_is_counted(tmp_path: Path) -> None:
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    remover = Removes(source, fails_at=4)
    with pytest.raises(MustStop, match="not deleted"):
        prune(ends, remover, proving, manifest)
    told = proving.pruned.overall().as_dict(dry_run=False)
    assert {name: count["files"] for name, count in told.items()} == {
        "discovered": 10,
        "deletable": 10,
        "deleted": 4,
        "kept": 0,
        "pending": 6,
    }


def test_a_target_that_is_the_source_is_found_out_by_the_first(tmp_path: Path) -> None:
    source, _, _ = scene()
    ends = Ends(source=source, target=source, small_source=lambda *_: None, small_target=lambda *_: None)
    proving, manifest = proven(ends, tmp_path)

    remover = Removes(source)
    with pytest.raises(MustStop) as caught:
        prune(ends, remover, proving, manifest)
    assert caught.value.name == "same-place"
    assert remover.removed == []
    assert set(source.contents()) == set(RAW_FILES), "and the mark is gone"


@pytest.mark.parametrize("fails", ["mark", "look", "take away"])
def test_a_mark_that_fails_ends_it_with_nothing_deleted(fails: str, tmp_path: Path) -> None:
    source, target, ends = scene()
    proving, manifest = proven(ends, tmp_path)
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
        ends = replace(ends, target=FailingStore(target, Schedule({("look", 1): fault})))
    remover = Marks(source)
    with pytest.raises(MustStop, match="It was refused") as caught:
        prune(ends, remover, proving, manifest)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []
    assert fails == "take away" or set(source.contents()) == set(RAW_FILES)


# --- being asked to stop ---------------------------------------------------------------------------------------------


INTERRUPTED = Interrupted("interrupted", "The run was asked to stop.")


def test_a_stop_while_it_proves_keeps_no_raw_file_for_a_reason_of_its_own(tmp_path: Path) -> None:
    """The last raw files of all are under way when it comes: nothing is proven then, and nothing is wrong with them."""
    _, target, ends = scene()
    ends = replace(ends, target=FailingStore(target, Schedule({("open", 8): INTERRUPTED})))
    proving = Proving(ends, ages=ANY_AGE, refused=frozenset(), stopping=StopFlag(), told=lambda count: None)
    with pytest.raises(Interrupted):
        proving.run(["org"], None)
    assert proving.pruned.problems == []
    assert proving.pruned.overall().kept.files == 0


@pytest.mark.parametrize("where", ["look", "open"])
def test_a_stop_while_it_proves_again_is_no_surprise(where: str, tmp_path: Path) -> None:
    source, target, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    ends = replace(ends, target=FailingStore(target, Schedule({(where, 5): INTERRUPTED})))
    remover = Removes(source)
    with pytest.raises(Interrupted):
        prune(ends, remover, proving, manifest)
    assert remover.removed == []


def test_what_a_remover_raises_ends_it_and_what_went_is_counted(tmp_path: Path) -> None:
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)

    class Raises(Removes):
        def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
            yield from super().remove(proven[:3])
            raise StoreError("refused", "It was refused.")

    with pytest.raises(MustStop, match="It was refused") as caught:
        prune(ends, Raises(source), proving, manifest)
    assert caught.value.name == "prune-surprise"
    assert proving.pruned.overall().deleted.files == 3


# --- the target's medium ---------------------------------------------------------------------------------------------


def test_the_target_is_brought_to_its_medium_before_anything_goes(tmp_path: Path) -> None:
    """Another tool may have written it a second ago: reading shows what is in memory."""
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    remover = Removes(source)
    seen: list[int] = []
    prune(replace(ends, settle=lambda: seen.append(len(remover.removed))), remover, proving, manifest)
    assert seen == [0]


def test_a_target_that_cannot_be_brought_to_its_medium_ends_it(tmp_path: Path) -> None:
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)

    def fails() -> None:
        raise StoreError("unreadable", "The disk fails.")

    remover = Removes(source)
    with pytest.raises(MustStop, match="The disk fails") as caught:
        prune(replace(ends, settle=fails), remover, proving, manifest)
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


# --- the manifest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_disk_that_is_full_at_the_end_of_a_manifest_is_told_as_that(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, ends = scene()
    proving = Proving(ends, ages=ANY_AGE, refused=frozenset(), stopping=StopFlag(), told=lambda count: None)
    manifest = ManifestOfRun(tmp_path / "manifest")
    manifest.prepare()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(MustStop, match="No space left") as caught:
        proving.run(["org"], manifest)
    assert caught.value.name == "manifest-unwritable"


def test_a_device_without_room_for_a_manifest_is_told_as_that(tmp_path: Path) -> None:
    """Rows are in memory up to the end: only flushing finds out."""
    _, _, ends = scene()
    proving = Proving(ends, ages=ANY_AGE, refused=frozenset(), stopping=StopFlag(), told=lambda count: None)

    class Full(ManifestOfRun):
        def of(self, organization: str) -> Any:
            writing = super().of(organization)
            entered = writing.__enter__

            def enter(_: object = None) -> WriteRow:
                write = entered()
                os.dup2(os.open("/dev/full", os.O_WRONLY), writing._files[1].fileno())
                return write

            monkey = type("Full", (type(writing),), {"__enter__": enter})
            writing.__class__ = monkey
            return writing

    manifest = Full(tmp_path / "manifest")
    manifest.prepare()
    with pytest.raises(MustStop, match="No space left") as caught:
        proving.run(["org"], manifest)
    assert caught.value.name == "manifest-unwritable"


def test_what_ended_a_proof_is_told_and_not_that_its_manifest_has_no_room_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, target, ends = scene()
    ends = replace(ends, target=FailingStore(target, Schedule({("open", 8): INTERRUPTED})))
    proving = Proving(ends, ages=ANY_AGE, refused=frozenset(), stopping=StopFlag(), told=lambda count: None)
    manifest = ManifestOfRun(tmp_path / "manifest")
    manifest.prepare()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Interrupted):
        proving.run(["org"], manifest)


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
    _, manifest = proven(ends, tmp_path)
    folder = str(manifest.folder)
    assert {f"{folder}/org.sha256", f"{folder}/org.ndjson", folder, str(tmp_path)} <= set(synced)
    assert synced.index(folder) > synced.index(f"{folder}/org.ndjson")


@pytest.mark.parametrize("what", ["gone", "cut", "no JSON", "no text"])
def test_a_manifest_that_cannot_be_read_any_more_ends_it(what: str, tmp_path: Path) -> None:
    source, _, ends = scene()
    proving, manifest = proven(ends, tmp_path)
    path = manifest.folder / "org.ndjson"
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:50], "no JSON": b"[]\n", "no text": b"\xff\n"}[what])
    remover = Removes(source)
    with pytest.raises(MustStop, match=r"org\.ndjson cannot be read any more") as caught:
        prune(ends, remover, proving, manifest)
    assert caught.value.name == "prune-surprise"
    assert remover.removed == []
