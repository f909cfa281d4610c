"""Deleting stops at the first surprise, whatever it is, and what was not proven again a moment ago stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from migrator.ages import ANY_AGE
from migrator.errors import MustStop, StoreError
from migrator.model import Entry, RawFile
from migrator.prune import Ends, ManifestOfRun, Proving, Pruning
from migrator.stopping import StopFlag
from migrator.stores.memory import MemoryStore
from tests.backends import raw_id

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

    def hide(self, raw_file: RawFile, entry: Entry) -> Callable[[], None]:
        return lambda: None

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

    class Hides(Removes):
        def hide(self, raw_file: RawFile, entry: Entry) -> Callable[[], None]:
            source.delete(raw_file)
            return lambda: source.save(raw_file, raw_file.raw_id.encode())

    remover = Hides(source)
    with pytest.raises(MustStop) as caught:
        prune(ends, remover, proving, manifest)
    assert caught.value.name == "same-place"
    assert remover.removed == []
    assert all(source.look(raw_file) is not None for raw_file in RAW_FILES)
