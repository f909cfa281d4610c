"""Index folders that are kept open: shared while they are used, few while they are not, and never closed under anybody."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.entities import RawFile
from migrator.stores.disk.dir_cache import OpenFolders
from tests.backends import raw_id

KEPT = 64
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def one_in(organization: str, index: str) -> RawFile:
    """Some raw file of this index folder."""
    return RawFile(organization, raw_id(index))


class Opener:
    """Counts what is opened, by name."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()

    def __call__(self, parent: int, name: str) -> int:
        self.opened[name] += 1
        return os.open(name, FLAGS, dir_fd=parent)


class Place:
    """A data folder with organization `org` and the index folders that are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "org").mkdir()
        self.fd = os.open(root, FLAGS)
        self.opener = Opener()
        self.folders = OpenFolders(self.fd, self.opener)

    def make(self, *names: str) -> None:
        for name in names:
            (self.root / "org" / name).mkdir()

    def open_now(self) -> list[str]:
        """The index folders that this process has open."""
        targets = [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]
        return sorted(os.path.basename(target) for target in targets if target.startswith(f"{self.root}/org/"))


def _descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.folders.forget()
    assert made.open_now() == []
    os.close(made.fd)


def names(count: int) -> list[str]:
    return [f"{number:03x}" for number in range(count)]


def test_the_folder_is_what_it_says(place: Place) -> None:
    place.make("abc")
    (place.root / "org" / "abc" / "file").write_text("")
    with place.folders.opened(one_in("org", "abc")) as fd:
        assert os.listdir(fd) == ["file"]


def test_the_next_use_opens_nothing(place: Place) -> None:
    place.make("abc")
    for _ in range(5):
        with place.folders.opened(one_in("org", "abc")):
            pass
    assert place.opener.opened == {"org": 1, "abc": 1}


def test_only_so_many_are_kept_the_latest_used(place: Place) -> None:
    place.make(*names(KEPT + 20))
    for name in names(KEPT + 20):
        with place.folders.opened(one_in("org", "000")), place.folders.opened(one_in("org", name)):
            pass
    assert len(place.open_now()) <= KEPT
    assert place.opener.opened["000"] == 1, "what is used again and again is not opened again and again"
    assert "org" not in place.open_now()


def test_who_uses_a_folder_keeps_it_open(place: Place) -> None:
    place.make(*names(2 * KEPT))
    with contextlib.ExitStack() as stack:
        used = {name: stack.enter_context(place.folders.opened(one_in("org", name))) for name in names(2 * KEPT)}
        place.folders.forget()
        assert {name: os.readlink(f"/proc/self/fd/{fd}") for name, fd in used.items()} == {
            name: f"{place.root}/org/{name}" for name in used
        }
    place.folders.forget()
    assert place.open_now() == []


def test_what_is_not_there_is_an_error_and_no_leak(place: Place) -> None:
    before = len(_descriptors())
    for _ in range(3):
        with pytest.raises(FileNotFoundError), place.folders.opened(one_in("org", "abc")):
            pass
        with pytest.raises(FileNotFoundError), place.folders.opened(one_in("none", "abc")):
            pass
    assert len(_descriptors()) == before
    place.make("abc")
    with place.folders.opened(one_in("org", "abc")) as fd:
        assert os.listdir(fd) == []


def test_a_link_is_not_followed(place: Place) -> None:
    outside = place.root / "outside"
    outside.mkdir()
    (place.root / "org" / "abc").symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|Too many"), place.folders.opened(one_in("org", "abc")):
        pass


def test_after_forgetting_a_folder_is_found_where_it_is_now(place: Place) -> None:
    place.make("abc")
    with place.folders.opened(one_in("org", "abc")):
        pass
    (place.root / "org" / "abc").rename(place.root / "org" / "abc-moved")
    place.make("abc")
    place.folders.forget()
    with place.folders.opened(one_in("org", "abc")) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}") == f"{place.root}/org/abc"


@given(st.lists(st.integers(0, 2 * KEPT), min_size=1, max_size=300))
def test_an_error_in_the_block_gives_the_folder_back(order: list[int]) -> None:
    opened: set[int] = set()

    def open_below(parent: int, name: str) -> int:
        fd = os.open("/", FLAGS)
        if name != "org":
            opened.add(fd)
        return fd

    folders = OpenFolders(0, open_below)
    for number in order:
        with pytest.raises(KeyError), folders.opened(one_in("org", f"{number:03x}")):
            raise KeyError
        assert len({fd for fd in opened if os.path.islink(f"/proc/self/fd/{fd}")}) <= KEPT + 1
    folders.forget()
    assert folders._folders == {}


def test_many_threads_share_them(place: Place) -> None:
    place.make(*names(KEPT * 2))
    wrong: list[str] = []

    def use(seed: int) -> None:
        for step in range(400):
            name = f"{(step * (seed + 3)) % (2 * KEPT):03x}"
            with place.folders.opened(one_in("org", name)) as fd:
                if os.readlink(f"/proc/self/fd/{fd}") != f"{place.root}/org/{name}":
                    wrong.append(name)
            if step % 50 == 0:
                place.folders.forget()

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
