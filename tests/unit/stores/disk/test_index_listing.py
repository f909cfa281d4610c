"""Index folders, listed once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from migrator.stores.disk.index_listing import KEPT, RESTED_NS, IndexFolders

LATER = 10 * RESTED_NS


class Folder:
    """An organization's folder, and how often it is listed."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        path.mkdir()
        self.fd = os.open(path, os.O_RDONLY)
        self.listed = 0
        real = os.listdir

        def listdir(where: int) -> list[str]:
            self.listed += 1
            return real(where)

        monkeypatch.setattr(os, "listdir", listdir)

    def add(self, *names: str) -> None:
        for name in names:
            (self.path / name).mkdir()

    @property
    def changed_ns(self) -> int:
        return os.fstat(self.fd).st_ctime_ns


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    made = Folder(tmp_path / "alpha", monkeypatch)
    yield made
    os.close(made.fd)


def below(indexes: IndexFolders, folder: Folder, prefix: str = "", name: str = "alpha") -> Sequence[str]:
    return list(indexes.below(name, folder.fd, prefix))


def test_all_shards_are_served_from_one_listing_of_a_folder_that_rests(folder: Folder) -> None:
    folder.add("0ff", "a00", "a0f", "af0", "b00", "fff", "xyz", "a0", "A00")
    indexes = IndexFolders(lambda: folder.changed_ns + LATER)
    assert below(indexes, folder) == ["0ff", "a00", "a0f", "af0", "b00", "fff"]
    assert below(indexes, folder, "a") == ["a00", "a0f", "af0"]
    assert below(indexes, folder, "a0") == ["a00", "a0f"]
    assert below(indexes, folder, "f") == ["fff"]
    assert below(indexes, folder, "a0f") == ["a0f"]
    assert below(indexes, folder, "c") == []
    assert folder.listed == 1


def test_a_new_index_folder_is_seen(folder: Folder) -> None:
    folder.add("a00")
    indexes = IndexFolders(lambda: folder.changed_ns + LATER)
    assert below(indexes, folder) == ["a00"]
    os.utime(folder.path, ns=(1, 1))  # as long ago as can be: what follows surely shows in its times
    folder.add("b00")
    assert below(indexes, folder) == ["a00", "b00"]


def test_a_folder_that_just_changed_is_listed_each_time(folder: Folder) -> None:
    """What comes into it within the same tick of the file system's clock would not show."""
    folder.add("a00")
    indexes = IndexFolders(lambda: folder.changed_ns + RESTED_NS)
    for _ in range(3):
        assert below(indexes, folder) == ["a00"]
    assert folder.listed == 3


@pytest.mark.parametrize("modified_after", [-LATER, LATER])
def test_a_modification_time_that_was_set_does_not_make_a_folder_rest(folder: Folder, modified_after: int) -> None:
    """Back, the change time tells that somebody did it; forth, nothing is older than now."""
    folder.add("a00")
    os.utime(folder.path, ns=(0, folder.changed_ns + modified_after))
    indexes = IndexFolders(lambda: folder.changed_ns + max(modified_after, 0))
    for _ in range(2):
        assert below(indexes, folder) == ["a00"]
    assert folder.listed == 2


def test_only_the_last_organizations_are_kept(folder: Folder) -> None:
    indexes = IndexFolders(lambda: folder.changed_ns + LATER)
    for number in range(KEPT):
        below(indexes, folder, name=f"organization-{number}")
    assert folder.listed == KEPT
    below(indexes, folder, name="organization-0")
    assert folder.listed == KEPT, "all of them are kept"
    below(indexes, folder, name=f"organization-{KEPT}")
    assert folder.listed == KEPT + 1
    below(indexes, folder, name=f"organization-{KEPT}")
    below(indexes, folder, name="organization-1")
    assert folder.listed == KEPT + 1
    below(indexes, folder, name="organization-0")
    assert folder.listed == KEPT + 2


def test_an_organization_that_was_listed_again_is_among_the_last(folder: Folder) -> None:
    indexes = IndexFolders(lambda: folder.changed_ns + LATER)
    for number in range(KEPT):
        below(indexes, folder, name=f"organization-{number}")
    folder.add("a00")
    assert below(indexes, folder, name="organization-0") == ["a00"]
    below(indexes, folder, name=f"organization-{KEPT}")
    listed = folder.listed
    assert below(indexes, folder, name="organization-0") == ["a00"]
    assert folder.listed == listed
