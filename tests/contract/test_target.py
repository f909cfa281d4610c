"""`Target` and `Receipt`: each sentence of their docstrings, on every implementation."""

from __future__ import annotations

import errno
import functools
import os
import random
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.core.entities import Entry, RawFile, Shard, UnfinishedUpload
from migrator.core.errors import (
    AlreadyThere,
    BucketMissing,
    CannotStart,
    Interrupted,
    LedgerBusy,
    NotTheSame,
    SourceChanged,
    StoreError,
    StoreFull,
    TargetBroken,
    Unavailable,
    Unreadable,
    Vanished,
)
from migrator.core.naming import BucketPerOrganization, SingleBucket
from migrator.core.notices import Notice
from migrator.core.protocols import Receipt, Target
from migrator.stores.disk import target as disk_target
from migrator.stores.disk.target import DiskTarget
from migrator.stores.reserved_names import partial_name
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.target import S3Target
from tests import corpus, oracle
from tests.backends import (
    Backend,
    DiskBackend,
    MemoryBackend,
    S3Backend,
    abilities_of,
    as_nobody,
    held,
    raw_id,
    state_of,
)
from tests.fakes import FailingContent, Schedule, quick_patience
from tests.memory_store import MemoryStore
from tests.scripted import Asked, Reply, error, scripted

MIB = 1 << 20
WHOLE, PARTS, MANY_PARTS = 16 * MIB, 16 * MIB + 1, 40 * MIB
ONE, TWO, THREE = (RawFile("org", raw_id(digits)) for digits in ("0001", "0002", "abc0"))


@functools.cache
def content_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@contextmanager
def opened(data: bytes, raw_file: RawFile = ONE, schedule: Schedule | None = None) -> Iterator[FailingContent]:
    """Content of another store."""
    origin = MemoryStore()
    entry = origin.save(raw_file, data)
    with origin.open(raw_file, entry) as content:
        yield FailingContent(content, schedule or Schedule())


def store(target: Target, data: bytes, raw_file: RawFile = ONE) -> Receipt:
    target.prepare(raw_file.organization)
    with opened(data, raw_file) as content:
        return target.store(raw_file, content)


def copy(target: Target, data: bytes, raw_file: RawFile = ONE) -> Receipt:
    receipt = store(target, data, raw_file)
    assert list(target.publish([(raw_file, receipt)])) == [(raw_file, None)]
    return receipt


def try_to_copy(target: Target, data: bytes, raw_file: RawFile = ONE) -> StoreError | None:
    """What kept it back, wherever it was told."""
    try:
        receipt = store(target, data, raw_file)
    except StoreError as fault:
        return fault
    [(_, fault_or_none)] = target.publish([(raw_file, receipt)])
    return fault_or_none


def try_to_replace(target: Target, data: bytes, own_version: str, raw_file: RawFile = ONE) -> StoreError | None:
    try:
        with opened(data, raw_file) as content:
            receipt = target.replace(raw_file, content, own_version)
    except StoreError as fault:
        return fault
    [(_, fault_or_none)] = target.publish([(raw_file, receipt)])
    return fault_or_none


# --- prepare ---------------------------------------------------------------------------------------------------------


def test_prepare_twice_is_harmless(backend: Backend) -> None:
    target = backend.target()
    target.prepare("org")
    copy(target, b"content")
    target.prepare("org")
    backend.target().prepare("org")
    assert backend.state() == state_of({ONE: b"content"})


def test_prepare_from_many_threads(backend: Backend) -> None:
    target = backend.target()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(target.prepare, ["org"] * 16))
    assert copy(target, b"x")


def test_prepare_makes_no_bucket_where_that_is_not_wanted(s3: S3Backend) -> None:
    target = s3.target(create_buckets=False)
    with pytest.raises(BucketMissing):
        target.prepare("org")
    assert not oracle.buckets(s3.client, s3.location.naming.bucket_of("org"))
    s3.bucket("org")
    target.prepare("org")


# --- store and publish -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100_000, WHOLE, PARTS, pytest.param(MANY_PARTS, marks=pytest.mark.slow)])
def test_what_was_stored_and_published_is_there_and_identical(backend: Backend, size: int) -> None:
    data = content_of(size)
    target = backend.target()
    receipt = copy(target, data)
    assert backend.state() == state_of({ONE: data})
    assert backend.leftovers() == []
    found = target.stat(ONE)
    assert found is not None
    assert found.size == size
    assert receipt.version == found.version
    [listed] = target.scan(Shard("org"), pytest.fail)
    assert listed.version == receipt.version


def test_many_are_published_at_once_and_each_is_answered_once(backend: Backend) -> None:
    target = backend.target()
    copy(target, b"was there", TWO)
    contents = {ONE: b"one", THREE: b""}
    receipts = [(raw_file, store(target, data, raw_file)) for raw_file, data in contents.items()]
    assert sorted(target.publish(receipts), key=str) == sorted(((one, None) for one in contents), key=str)
    assert backend.state() == state_of({**contents, TWO: b"was there"})
    assert list(target.publish([])) == []


def test_nobody_sees_what_is_not_published(backend: Backend) -> None:
    if not backend.keeps_unpublished_hidden:
        pytest.skip("an object is there whole as soon as it is stored")
    target = backend.target()
    receipt = store(target, b"content")
    assert target.stat(ONE) is None
    notices: list[Notice] = []
    assert list(target.scan(Shard("org"), notices.append)) == []
    assert (notices, backend.state()) == ([], {})
    assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    assert backend.state() == state_of({ONE: b"content"})


@pytest.mark.parametrize("size", [7, PARTS])
def test_what_exists_is_never_replaced(backend: Backend, size: int) -> None:
    backend.save(ONE, b"another's")
    assert isinstance(try_to_copy(backend.target(), content_of(size)), AlreadyThere)
    assert backend.state() == state_of({ONE: b"another's"})
    assert backend.leftovers() == []


def test_what_came_between_storing_and_publishing_is_not_replaced(backend: Backend) -> None:
    if not backend.keeps_unpublished_hidden:
        pytest.skip("an object is there as soon as it is stored")
    target = backend.target()
    receipts = [(one, store(target, b"ours", one)) for one in (ONE, TWO)]
    backend.save(ONE, b"another's")
    answers = dict(target.publish(receipts))
    assert isinstance(answers[ONE], AlreadyThere)
    assert answers[TWO] is None
    assert backend.state() == state_of({ONE: b"another's", TWO: b"ours"})
    assert backend.leftovers() == []


@pytest.mark.parametrize("size", [3 * MIB, PARTS])
def test_what_comes_while_content_is_read_is_not_replaced(backend: Backend, size: int) -> None:
    target = backend.target()
    target.prepare("org")
    schedule = Schedule({("finish", 1): lambda: backend.save(ONE, b"another's")})
    with opened(content_of(size), schedule=schedule) as content:
        try:
            [(_, fault)] = target.publish([(ONE, target.store(ONE, content))])
        except StoreError as error:
            fault = error
    assert isinstance(fault, AlreadyThere)
    assert backend.state() == state_of({ONE: b"another's"})
    assert backend.leftovers() == []


def test_the_same_that_another_run_completes_meanwhile_leaves_no_upload_of_ours(backend: Backend) -> None:
    """It has just the ETag that ours would have got."""
    if not isinstance(backend, S3Backend):
        pytest.skip("no two runs are in one folder at once")
    data = content_of(PARTS)
    target = backend.target()
    target.prepare("org")
    schedule = Schedule({("finish", 1): lambda: copy(backend.target(), data) and None})
    with opened(data, schedule=schedule) as content, pytest.raises(AlreadyThere):
        target.store(ONE, content)
    assert backend.state() == state_of({ONE: data})
    assert backend.leftovers() == []


def test_another_target_of_the_same_place_cannot_replace_either(backend: Backend) -> None:
    copy(backend.target(), b"first")
    assert isinstance(try_to_copy(backend.target(), b"second"), AlreadyThere)
    assert backend.state() == state_of({ONE: b"first"})


FAULTS = {
    "read": (Unavailable("broken-off", "It broke off."), ("read", 2)),
    "first read": (Vanished("vanished", "It is gone."), ("read", 1)),
    "finish": (SourceChanged("source-changed", "It changed."), ("finish", 1)),
}


@pytest.mark.parametrize("size", [3 * MIB, PARTS, pytest.param(MANY_PARTS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FAULTS)
def test_what_content_raises_comes_out_and_leaves_nothing(backend: Backend, size: int, name: str) -> None:
    fault, place = FAULTS[name]
    if name == "read" and size < PARTS and isinstance(backend, S3Backend):
        pytest.skip("goes in one request, read at once")
    target = backend.target()
    target.prepare("org")
    with opened(content_of(size), schedule=Schedule({place: fault})) as content, pytest.raises(type(fault)) as caught:
        target.store(ONE, content)
    assert caught.value is fault
    assert backend.state() == {}
    assert backend.leftovers() == []
    copy(target, b"later")


# --- replace ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100, PARTS])
def test_a_copy_of_our_own_is_replaced(backend: Backend, size: int) -> None:
    target = backend.target()
    ours = copy(target, b"half")
    with opened(content_of(size)) as content:
        receipt = target.replace(ONE, content, ours.version)
    assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    assert backend.state() == state_of({ONE: content_of(size)})
    found = target.stat(ONE)
    assert found is not None
    assert found.version == receipt.version != ours.version
    assert backend.leftovers() == []


@pytest.mark.parametrize("size", [100, PARTS])
def test_what_is_not_our_own_any_more_is_not_replaced(backend: Backend, size: int) -> None:
    target = backend.target()
    ours = copy(target, b"half")
    backend.save(ONE, b"saved anew")
    assert isinstance(try_to_replace(target, content_of(size), ours.version), AlreadyThere)
    assert backend.state() == state_of({ONE: b"saved anew"})
    assert backend.leftovers() == []


def test_what_is_gone_is_not_replaced(backend: Backend) -> None:
    target = backend.target()
    ours = copy(target, b"half")
    backend.delete(ONE)
    fault = try_to_replace(target, b"whole", ours.version)
    assert isinstance(fault, AlreadyThere)
    assert backend.state() == {}


@pytest.mark.parametrize("size", [100, PARTS])
def test_a_source_that_changes_keeps_our_copy_as_it_was(backend: Backend, size: int) -> None:
    target = backend.target()
    ours = copy(target, b"half")
    fault = SourceChanged("source-changed", "It changed.")
    with opened(content_of(size), schedule=Schedule({("finish", 1): fault})) as content, pytest.raises(SourceChanged):
        target.replace(ONE, content, ours.version)
    assert backend.state() == state_of({ONE: b"half"})
    assert backend.leftovers() == []


# --- adopt -----------------------------------------------------------------------------------------------------------


def test_nothing_is_adopted_from_elsewhere(backend: Backend) -> None:
    origin = MemoryStore()
    entry = origin.save(ONE, b"content")
    target = backend.target()
    target.prepare("org")
    assert target.server_side_copy(ONE, origin, entry) is None
    assert backend.state() == {}


def other_naming(s3: S3Backend) -> S3Backend:
    names = s3._names.another()
    naming = BucketPerOrganization(names.prefix) if s3.is_single else SingleBucket(names.bucket)
    kind = f"{s3.server.name}-{'each' if s3.is_single else 'one'}"
    other = S3Backend(kind, s3.server, names)
    assert type(other.location.naming) is type(naming)
    return other


def test_adopting_copies_on_the_server_and_never_replaces(s3: S3Backend) -> None:
    origin = other_naming(s3)
    for number, raw_file in enumerate((ONE, TWO, THREE)):
        origin.save(raw_file, content_of(1000 * number, number))
    source, target = origin.source(), s3.target()
    target.prepare("org")
    s3.save(THREE, b"another's")
    for raw_file in (ONE, TWO):
        entry = source.stat(raw_file)
        assert entry is not None
        receipt = target.server_side_copy(raw_file, source, entry)
        assert receipt is not None
        assert list(target.publish([(raw_file, receipt)])) == [(raw_file, None)]
        assert receipt.version == entry.etag
    entry = source.stat(THREE)
    assert entry is not None
    with pytest.raises(AlreadyThere):
        target.server_side_copy(THREE, source, entry)
    assert s3.state() == state_of({ONE: b"", TWO: content_of(1000, 1), THREE: b"another's"})
    origin.close()


def test_adopting_what_is_gone(s3: S3Backend) -> None:
    origin = other_naming(s3)
    origin.save(ONE, b"content")
    source, target = origin.source(), s3.target()
    target.prepare("org")
    entry = source.stat(ONE)
    assert entry is not None
    origin.delete(ONE)
    with pytest.raises(Vanished):
        target.server_side_copy(ONE, source, entry)
    assert s3.state() == {}
    origin.close()


def test_adopting_what_has_changed(s3: S3Backend) -> None:
    """moto's server copies it all the same; what is read back is not what was listed."""
    origin = other_naming(s3)
    origin.save(ONE, b"content")
    source, target = origin.source(), s3.target()
    target.prepare("org")
    entry = source.stat(ONE)
    assert entry is not None
    origin.save(ONE, b"another content")
    with pytest.raises(SourceChanged):
        target.server_side_copy(ONE, source, entry)
    origin.close()


# --- S3 servers that do less -----------------------------------------------------------------------------------------


def weaker(s3: S3Backend, **less: bool) -> S3Target:
    return S3Target(
        s3.location,
        quick_patience(),
        abilities=replace(abilities_of(s3.server), **less),
        create_buckets=True,
        wired=s3.is_wired,
    )


@pytest.mark.parametrize("less", [*Capabilities.__dataclass_fields__, "all"])
def test_without_an_ability_nothing_is_replaced_either(s3: S3Backend, less: str) -> None:
    names = Capabilities.__dataclass_fields__ if less == "all" else [less]
    target = weaker(s3, **dict.fromkeys(names, False))
    ours = copy(target, b"content")
    assert isinstance(try_to_copy(target, b"other content"), AlreadyThere)
    assert s3.state() == state_of({ONE: b"content"})
    assert try_to_replace(target, b"anew", ours.version) is None
    assert isinstance(try_to_replace(target, b"again", ours.version), AlreadyThere)
    assert s3.state() == state_of({ONE: b"anew"})


@pytest.mark.parametrize("etag", ['"0123456789abcdef0123456789abcdef"', '""', None])
def test_a_server_that_stores_something_else_is_found_out(etag: str | None) -> None:
    """It accepts whatever it is sent, answers with a wrong ETag, and gives other bytes back."""

    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "GET":
            return Reply(200, b"rotten", {"ETag": etag or '"x"'})
        return Reply(200, headers={"ETag": etag} if etag else {})

    with scripted(script) as server:
        target = S3Target(
            server.location(),
            quick_patience(),
            abilities=Capabilities(True, True, True, False),
            create_buckets=True,
        )
        with pytest.raises(StoreError) as caught, opened(b"sound") as content:
            target.store(ONE, content)
        assert not isinstance(caught.value, Vanished)


def test_a_server_that_is_full_says_so() -> None:
    with scripted(lambda asked, number: error(507, "XMinioStorageFull")) as server:
        target = S3Target(
            server.location(),
            quick_patience(),
            abilities=Capabilities(True, True, True, True),
            create_buckets=True,
        )
        with pytest.raises(StoreError) as caught, opened(b"sound") as content:
            target.store(ONE, content)
        assert caught.value.name == "target-full"


# --- disk ------------------------------------------------------------------------------------------------------------


@pytest.mark.row(29)
@pytest.mark.parametrize("umask", [0, 0o22, 0o777])
def test_modes_are_those_of_bytes_whatever_the_umask(disk: DiskBackend, umask: int) -> None:
    before = os.umask(umask)
    try:
        copy(disk.target(), b"content")
    finally:
        os.umask(before)
    assert {found.mode for found in oracle.disk_state(disk.root).values()} == {corpus.FILE_MODE}
    assert oracle.folder_modes(disk.root) == {f"{corpus.FOLDER_MODE:o}": 2}
    assert stat.S_IMODE(disk.root.stat().st_mode) == corpus.FOLDER_MODE


@pytest.mark.row(29)
def test_a_setgid_bit_that_was_inherited_stays(disk: DiskBackend) -> None:
    disk.root.mkdir()
    disk.root.chmod(0o2750)
    copy(disk.target(), b"content")
    assert oracle.folder_modes(disk.root) == {f"{0o2000 | corpus.FOLDER_MODE:o}": 2}


def test_what_is_made_as_root_belongs_to_the_owner_of_the_data_folder(disk: DiskBackend) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    disk.root.mkdir()
    os.chown(disk.root, 1234, 4321)
    copy(disk.target(), b"content")
    paths = [disk.path(ONE), disk.path(ONE).parent, disk.root / "org"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in paths} == {(1234, 4321)}


def test_folders_that_exist_keep_their_modes(disk: DiskBackend) -> None:
    folder = disk.path(ONE).parent
    folder.mkdir(parents=True)
    folder.chmod(0o711)
    copy(disk.target(), b"content")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711


def test_the_parent_of_a_data_folder_is_not_made(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there"
    with pytest.raises(CannotStart), held(root, 0o740):
        pass
    assert not root.parent.exists()


def test_two_runs_cannot_write_to_one_data_folder(disk: DiskBackend) -> None:
    with held(disk.root, 0o740), pytest.raises(LedgerBusy), held(disk.root, 0o740):
        pass
    with held(disk.root, 0o740):
        pass


@pytest.mark.row(1)
def test_leftovers_of_other_runs_are_removed_when_they_are_met(disk: DiskBackend) -> None:
    disk.save(ONE, b"content")
    folder = disk.path(ONE).parent
    for name in (f".{ONE.raw_id}.0abc12.bytes-migrator", f".{TWO.raw_id}.mine.bytes-migrator", f".{TWO.raw_id}.part"):
        (folder / name).write_bytes(b"half")
    notices: list[Notice] = []
    assert [entry.raw_id for entry in disk.target().scan(Shard("org"), notices.append)] == [ONE.raw_id]
    assert sorted(path.name for path in folder.iterdir() if path.name != ONE.raw_id) == [
        f".{TWO.raw_id}.mine.bytes-migrator",
        f".{TWO.raw_id}.part",
    ]
    assert [notice.where for notice in notices] == [str(folder / f".{TWO.raw_id}.part")]


def test_a_leftover_of_this_run_is_written_anew(disk: DiskBackend) -> None:
    folder = disk.path(ONE).parent
    folder.mkdir(parents=True)
    (folder / f".{ONE.raw_id}.mine.bytes-migrator").write_bytes(b"a longer half of something")
    copy(disk.target(), b"content")
    assert disk.state() == state_of({ONE: b"content"})


@pytest.mark.row(23, 30, 31)
@pytest.mark.parametrize("level", ["organization", "index", "raw file"])
@pytest.mark.parametrize("kind", ["link", "broken link", "file"])
def test_what_stands_in_the_way_is_not_followed(disk: DiskBackend, level: str, kind: str) -> None:
    """And never taken for a raw file of the source that has vanished: that would count as fine."""
    outside = disk.root.parent / "outside"
    disk.root.mkdir()
    (outside / ONE.raw_id[:3]).mkdir(parents=True)
    path = {
        "organization": disk.root / "org",
        "index": disk.root / "org" / ONE.raw_id[:3],
        "raw file": disk.path(ONE),
    }[level]
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_bytes(b"in the way")
    else:
        path.symlink_to(outside if kind == "link" and level != "raw file" else outside / "nothing")
    before = oracle.tree_snapshot(outside)
    fault = try_to_copy(disk.target(), b"content")
    assert isinstance(fault, AlreadyThere if level == "raw file" else Unreadable)
    if level != "raw file":
        assert f"{path} is {'a file' if kind == 'file' else 'a symbolic link'}, not a folder" in fault.what
    assert oracle.tree_snapshot(outside) == before
    assert disk.leftovers() == []
    if kind == "file":
        assert path.read_bytes() == b"in the way"
    else:
        assert path.is_symlink()


def test_a_target_folder_that_goes_away_is_no_vanished_source(disk: DiskBackend) -> None:
    target = disk.target()
    receipt = store(target, b"content")
    for path in (disk.path(ONE).parent, disk.root / "org"):
        for leftover in path.iterdir():
            leftover.unlink()
        path.rmdir()
    [(_, fault)] = target.publish([(ONE, receipt)])
    assert isinstance(fault, StoreError)
    assert not isinstance(fault, Vanished)


def test_the_memory_store_is_a_target() -> None:
    """For the type checker as well."""
    target: Target = MemoryBackend().store
    assert copy(target, b"x").version


# --- going on where it was -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [None, "longer", "other"])
def test_a_large_file_goes_on_where_it_was_if_it_is_still_the_same(disk: DiskBackend, change: str | None) -> None:
    """What an earlier run wrote of another state of the source is of no use, and does not stay."""
    data = content_of(5 * MIB)
    target = disk.target()
    target.prepare("org")
    fault = Unavailable("broken-off", "It broke off.")
    origin = MemoryStore(resume_unit=MIB)
    entry = origin.save(ONE, data)
    schedule = Schedule({("read", 4): fault})
    with origin.open(ONE, entry) as content, pytest.raises(Unavailable):
        target.store(ONE, FailingContent(content, schedule))
    assert disk.state() == {}
    [partial] = disk.leftovers()
    assert Path(partial).stat().st_size == 3 * MIB
    notices: list[Notice] = []
    assert list(target.scan(Shard("org"), notices.append)) == []
    assert notices == []
    data = {None: data, "longer": data + b"!", "other": data[::-1]}[change]
    entry = origin.save(ONE, data) if change else entry
    again = Schedule()
    with origin.open(ONE, entry) as content:
        receipt = target.store(ONE, FailingContent(content, again))
    assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    assert disk.state() == state_of({ONE: data})
    assert disk.leftovers() == []
    assert again.calls["read"] == {None: 3, "longer": 7, "other": 6}[change]


class Notebook:
    """Uploads written down in memory, and each upload id in the order in which it was."""

    def __init__(self) -> None:
        self.kept: dict[RawFile, UnfinishedUpload] = {}
        self.ids: list[str] = []

    def unfinished(self, raw_file: RawFile) -> UnfinishedUpload | None:
        return self.kept.get(raw_file)

    def began(self, upload: UnfinishedUpload) -> None:
        self.ids.append(upload.upload_id)
        self.kept[RawFile(upload.organization, upload.raw_id)] = upload

    def learned(self, name: str, value: int) -> None:
        """What this journal is for are uploads."""

    def ended(self, upload: UnfinishedUpload) -> None:
        del self.kept[RawFile(upload.organization, upload.raw_id)]


@pytest.mark.parametrize("change", [None, "content", "part size"])
def test_an_upload_goes_on_if_it_is_of_the_same_content_and_part_size(backend: Backend, change: str | None) -> None:
    """The intent is written down before the server is asked, the id before the first part; what is of no use does not stay."""
    if not isinstance(backend, S3Backend):
        pytest.skip("uploads are S3's")
    notebook, origin, data = Notebook(), MemoryStore(), content_of(PARTS)
    abilities = abilities_of(backend.server)
    target = S3Target(
        backend.location,
        quick_patience(),
        abilities=abilities,
        create_buckets=True,
        wired=backend.is_wired,
        journal=notebook,
    )
    target.prepare("org")
    entry = origin.save(ONE, data)
    schedule = Schedule({("read", 2): Unavailable("broken-off", "It broke off.")})
    with closing(target):
        with origin.open(ONE, entry) as content, pytest.raises(Unavailable):
            target.store(ONE, FailingContent(content, schedule))
        assert len(backend.leftovers()) == 1
        assert notebook.ids == ["", notebook.kept[ONE].upload_id]
        if change == "content":
            data = data[::-1]
            entry = origin.save(ONE, data)
        if change == "part size":
            notebook.kept[ONE] = notebook.kept[ONE]._replace(part_size=16 * MIB)
        with origin.open(ONE, entry) as content:
            receipt = target.store(ONE, content)
        assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    assert backend.state() == state_of({ONE: data})
    assert backend.leftovers() == []
    assert notebook.kept == {}
    assert len(notebook.ids) == (2 if change is None else 4)


@pytest.mark.row(67)
def test_a_partial_file_that_somebody_altered_is_found_out(disk: DiskBackend) -> None:
    data = content_of(5 * MIB)
    target = disk.target()
    target.prepare("org")
    origin = MemoryStore(resume_unit=MIB)
    entry = origin.save(ONE, data)
    schedule = Schedule({("read", 4): Unavailable("broken-off", "It broke off.")})
    with origin.open(ONE, entry) as content, pytest.raises(Unavailable):
        target.store(ONE, FailingContent(content, schedule))
    [partial] = disk.leftovers()
    altered = bytearray(Path(partial).read_bytes())
    altered[100] ^= 1
    Path(partial).write_bytes(altered)
    with origin.open(ONE, entry) as content, pytest.raises(NotTheSame):
        target.store(ONE, content)
    assert disk.leftovers() == []
    with origin.open(ONE, entry) as content:
        receipt = target.store(ONE, content)
    assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    assert disk.state() == state_of({ONE: data})


def written_by_a_first_worker(disk: DiskBackend, data: bytes) -> tuple[DiskTarget, Receipt, MemoryStore, Entry]:
    """All of a large file, not published yet; with the source that it came from."""
    first = disk.target()
    first.prepare("org")
    origin = MemoryStore(resume_unit=MIB)
    entry = origin.save(ONE, data)
    with origin.open(ONE, entry) as content:
        return first, first.store(ONE, content), origin, entry


def another_worker(disk: DiskBackend) -> DiskTarget:
    """Of the same run, in the same folder."""
    return DiskTarget(disk.root, folder_mode=corpus.FOLDER_MODE, file_mode=corpus.FILE_MODE, run="mine")


@pytest.mark.parametrize("then", ["goes on", "is killed"])
def test_what_another_worker_goes_on_with_gets_no_name_before_it_is_whole(disk: DiskBackend, then: str) -> None:
    """The first was given up, does not know it, and publishes what the second has cut back to whole units."""
    data = content_of(5 * MIB + 1)
    first, receipt, origin, entry = written_by_a_first_worker(disk, data)
    seen: list[StoreError | None] = []

    def publish() -> None:
        seen.extend(error for _, error in first.publish([(ONE, receipt)]))
        assert disk.state() == {}

    second = another_worker(disk)
    fault = Unavailable("broken-off", "It broke off.")
    schedule = Schedule({("read", 1): publish if then == "goes on" else fault})
    with origin.open(ONE, entry) as content:
        if then == "goes on":
            whole = second.store(ONE, FailingContent(content, schedule))
        else:
            with pytest.raises(Unavailable):
                second.store(ONE, FailingContent(content, schedule))
            publish()
    if then == "is killed":
        with origin.open(ONE, entry) as content:
            whole = second.store(ONE, content)
    [error] = seen
    assert isinstance(error, Unavailable)
    assert list(second.publish([(ONE, whole)])) == [(ONE, None)]
    assert disk.state() == state_of({ONE: data})
    assert disk.leftovers() == []
    second.close()


def test_what_got_its_name_before_it_was_claimed_is_left_alone(
    disk: DiskBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has it open when the first publishes it: cutting it back would cut a raw file."""
    data = content_of(5 * MIB + 1)
    first, receipt, origin, entry = written_by_a_first_worker(disk, data)
    claim = disk_target._claim
    answers: list[object] = []

    def late(fd: int, where: str) -> None:
        if not answers:
            answers.append(None)
            answers.extend(first.publish([(ONE, receipt)]))
        claim(fd, where)

    monkeypatch.setattr(disk_target, "_claim", late)
    second = another_worker(disk)
    schedule = Schedule({("read", 1): Unavailable("broken-off", "It broke off.")})
    with origin.open(ONE, entry) as content, pytest.raises(Unavailable, match="another worker"):
        second.store(ONE, FailingContent(content, schedule))
    second.close()
    assert answers[1:] == [(ONE, None)]
    assert disk.state() == state_of({ONE: data})


# --- errors in the way of errors -------------------------------------------------------------------------------------


def refusing(number: int) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("unit", [0, MIB])
@pytest.mark.parametrize("fault", [Interrupted("interrupted", "Stop."), NotTheSame("damaged", "It differs.")])
def test_what_content_raises_comes_out_though_nothing_can_be_removed(
    disk: DiskBackend, fault: StoreError, unit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that turned read-only meanwhile: being asked to stop is still no failure."""
    target = disk.target()
    target.prepare("org")
    origin = MemoryStore(resume_unit=unit)
    entry = origin.save(ONE, content_of(2 * MIB))
    monkeypatch.setattr(os, "unlink", refusing(errno.EROFS))
    with origin.open(ONE, entry) as content, pytest.raises(type(fault)):
        target.store(ONE, FailingContent(content, Schedule({("read", 2): fault})))


def test_one_that_cannot_be_looked_at_keeps_no_other_from_being_answered(disk: DiskBackend) -> None:
    mine = copy(disk.target(), b"mine")
    target = disk.target()
    with opened(b"newer") as content:
        newer = target.replace(ONE, content, mine.version)
    other = store(target, b"other", TWO)
    looks = target.stat

    def look(raw_file: RawFile) -> Entry | None:
        if raw_file == ONE:
            raise Unreadable("unreadable", "It cannot be looked at.")
        return looks(raw_file)

    target.stat = look  # type: ignore[method-assign]
    answers = dict(target.publish([(ONE, newer), (TWO, other)]))
    assert isinstance(answers[ONE], Unreadable)
    assert answers[TWO] is None
    assert disk.state() == state_of({ONE: b"mine", TWO: b"other"})


def test_a_full_disk_is_told_though_it_does_not_say_how_full(
    disk: DiskBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = disk.target()
    target.prepare("org")
    monkeypatch.setattr(os, "write", refusing(errno.ENOSPC))
    monkeypatch.setattr(os, "fstatvfs", refusing(errno.ESTALE))
    with pytest.raises(StoreFull), opened(b"x") as content:
        target.store(ONE, content)


@pytest.mark.parametrize("call", ["mkdir", "fchmod", "open", "stat"])
def test_a_data_folder_that_cannot_be_made_is_told_as_that(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share whose server takes root for nobody: what root makes there cannot be given to anyone."""
    monkeypatch.setattr(
        Path if call == "mkdir" else os, call, refusing(errno.EPERM)
    )  # pathlib of 3.10 holds os.mkdir itself
    with pytest.raises(CannotStart) as caught, held(tmp_path / "new", corpus.FOLDER_MODE):
        pass
    assert caught.value.name == "target-folder"


def test_a_leftover_beside_what_cannot_be_looked_at_stays(disk: DiskBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.save(ONE, b"x")
    partial = disk.path(ONE).with_name(partial_name(TWO.raw_id, "stamp"))
    partial.write_bytes(b"part")
    target = disk.target()
    stat_ = os.stat

    def fails(path: Any, **named: Any) -> Any:
        if path == TWO.raw_id:
            raise OSError(errno.EIO, "no")
        return stat_(path, **named)

    monkeypatch.setattr(os, "stat", fails)
    assert [entry.raw_id for entry in target.scan(Shard("org"), lambda notice: None)] == [ONE.raw_id]
    assert partial.exists()


# --- durable in batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails_at", [None, 1, 2])
def test_content_is_durable_before_its_name_and_its_name_before_the_answer(
    disk: DiskBackend, fails_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = disk.target()
    receipts = [(ONE, store(target, b"one")), (TWO, store(target, b"two", TWO))]
    visible: list[int] = []

    def sync(fd: int) -> bool:
        visible.append(len(disk.state()))
        if len(visible) == fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return True

    monkeypatch.setattr(disk_target, "sync_filesystem", sync)
    answers = dict(target.publish(receipts))
    assert visible[: fails_at or 2] == [0, 2][: fails_at or 2]
    assert {type(fault) for fault in answers.values()} == {type(None) if fails_at is None else TargetBroken}
    assert disk.leftovers() == []
    assert (disk.state() == {}) == (fails_at == 1), "what may not be on the medium gets no name"


@pytest.mark.parametrize("is_left", [False, True])
def test_a_mode_that_lets_nobody_write_keeps_no_large_raw_file_from_its_name(tmp_path: Path, is_left: bool) -> None:
    """`is_left`: one that was whole when its run was killed is not gone on with, and does not stand in the way."""
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, -1)
    origin = MemoryStore(resume_unit=MIB)
    data = content_of(3 * MIB)
    entry = origin.save(ONE, data)
    with closing(DiskTarget(tmp_path, folder_mode=0o750, file_mode=0o440, run="mine")) as target, as_nobody():
        target.prepare("org")
        for _ in range(1 + is_left):
            with origin.open(ONE, entry) as content:
                receipt = target.store(ONE, content)
        assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
    [(path, mode)] = [(path, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.rglob("*") if path.is_file()]
    assert (path.name, path.read_bytes(), mode) == (ONE.raw_id, data, 0o440)


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "of another user"])
def test_what_only_looks_like_a_part_of_ours_is_not_written_to(disk: DiskBackend, kind: str, tmp_path: Path) -> None:
    if kind == "of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious" * MIB)
    target = disk.target()
    target.prepare("org")
    origin = MemoryStore(resume_unit=MIB)
    data = content_of(5 * MIB)
    entry = origin.save(ONE, data)
    with origin.open(ONE, entry) as content:
        partial = disk.path(ONE).with_name(partial_name(ONE.raw_id, content.source_version))
        partial.parent.mkdir()
        if kind == "link":
            partial.symlink_to(precious)
        elif kind == "hard link":
            os.link(precious, partial)
        elif kind == "pipe":
            os.mkfifo(partial)
        else:
            partial.write_bytes(data[:MIB])
            os.chown(partial, 65534, 65534)
        schedule = Schedule()
        try:
            receipt = target.store(ONE, FailingContent(content, schedule))
        except StoreError:
            assert kind == "link"
        else:
            assert schedule.calls["read"] == 6, "nothing was taken over"
            assert list(target.publish([(ONE, receipt)])) == [(ONE, None)]
            assert disk.state() == state_of({ONE: data})
    assert precious.read_bytes() == b"precious" * MIB
    assert precious.stat().st_nlink == 1
