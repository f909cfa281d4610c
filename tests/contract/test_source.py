"""`Source` and `Content`: each sentence of their docstrings, on every implementation."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from migrator.config.locations import S3Access, S3Location, Secret
from migrator.core.entities import Entry, RawFile, Shard, shards_of
from migrator.core.errors import (
    AccessDenied,
    BucketMissing,
    MigratorError,
    MustStop,
    NotTheSame,
    SourceChanged,
    StoreError,
    Unavailable,
    Unreadable,
    Vanished,
)
from migrator.core.notices import LINKED_FOLDER, Notice, NoticeKind
from migrator.core.protocols import Content, Source
from migrator.stores.disk.source import DiskSource
from migrator.stores.reserved_names import LINKED_FOLDER_REASON
from migrator.stores.s3.source import S3Source
from migrator.transfer.retry import RetryPolicy
from tests.backends import Backend, DiskBackend, S3Backend, as_nobody, raw_id
from tests.fakes import Clock, Waits, quick_patience
from tests.scripted import Reply, always, page, scripted

MIB = 1 << 20
IDS = [raw_id(digits) for digits in ("0000", "0001", "00f0", "0a00", "7fff", "abc0", "abc1", "abd0", "fff0", "ffff")]
STRAYS = ["README", "zz-top", "_x", "abc", "0-0", "f00", "000.part", f"{IDS[5]}.bak", IDS[6].upper(), ".hidden"]


def unheard(notice: Notice) -> None:
    """For scans whose notices are another test's."""


def scan(source: Source, organization: str = "org", prefix: str = "") -> tuple[list[Entry], list[Notice]]:
    notices: list[Notice] = []
    return list(source.scan(Shard(organization, prefix), notices.append)), notices


def fill(backend: Backend, organization: str = "org") -> list[RawFile]:
    raw_files = [RawFile(organization, one) for one in IDS]
    for number, raw_file in enumerate(raw_files):
        backend.save(raw_file, b"x" * number)
    return raw_files


def read_all(source: Source, raw_file: RawFile, piece: int = MIB) -> bytes:
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        data = b"".join(iter(lambda: content.read(piece), b""))
        content.finish()
    return data


# --- organizations ---------------------------------------------------------------------------------------------------


def test_organizations_come_ascending_and_what_lies_beside_them_is_told(backend: Backend) -> None:
    names = ["a", "a-b", "a0", "b", "zz"]
    for name in reversed(names):
        backend.save(RawFile(name, IDS[0]), b"x")
    backend.add_beside("NOT_ONE")
    notices: list[Notice] = []
    assert list(backend.source().organizations(notices.append)) == names
    assert len(notices) == 1
    assert notices[0].kind is (NoticeKind.LEFT_ALONE if backend.kind.endswith("-each") else NoticeKind.STRAY)
    assert "not" in notices[0].where.lower()


def test_a_location_that_does_not_exist_has_no_organizations(backend: Backend) -> None:
    assert list(backend.source().organizations(unheard)) == []


def test_organizations_that_cannot_be_listed_raise(s3: S3Backend) -> None:
    """A listing that failed is never an empty one; moto's server takes any key."""
    if s3.server.name == "moto":
        pytest.skip("moto checks no keys")
    fill(s3)
    access = S3Access(
        endpoint_url=s3.server.endpoint_url,
        region="us-east-1",
        access_key_id=s3.server.access_key,
        secret_access_key=Secret("wrong"),
    )
    source = S3Source(S3Location(naming=s3.location.naming, access=access), quick_patience())
    with pytest.raises(AccessDenied):
        list(source.organizations(unheard))
    with pytest.raises(AccessDenied):
        list(source.scan(Shard("org"), unheard))
    with pytest.raises(AccessDenied):
        source.is_empty("org")
    with pytest.raises(AccessDenied):
        source.stat(RawFile("org", IDS[0]))


def test_a_server_that_answers_nonsense_raises_everywhere() -> None:
    raw_file = RawFile("org", IDS[0])
    clock = Clock()
    patience = RetryPolicy(seconds=0, at_first=0, clock=clock, stopping=Waits(clock))
    with scripted(always(Reply(200, b"<html>Welcome to the network</html>"))) as server:
        source = S3Source(server.location(), patience)
        calls: list[Any] = [
            lambda: list(source.organizations(unheard)),
            lambda: list(source.scan(Shard("org"), unheard)),
            lambda: source.scan_strays("org", unheard),
            lambda: source.is_empty("org"),
            lambda: source.shard_length("org"),
        ]
        for call in calls:
            with pytest.raises((MustStop, Unavailable)) as caught:
                call()
            assert caught.value.name == "listing-broken"
        with pytest.raises(StoreError), source.open(raw_file, Entry(IDS[0], 1)):
            pass


def test_a_data_folder_that_cannot_be_listed_raises(disk: DiskBackend) -> None:
    fill(disk)
    source = disk.source()
    disk.root.chmod(0o300)
    os.chown(disk.root, 65534, 65534)
    reopened = None
    with as_nobody():
        try:
            reopened = DiskSource(disk.root)
        except Unreadable:
            return  # as good: it was told even earlier
        with pytest.raises(StoreError):
            list(reopened.organizations(unheard))
    source.close()


# --- shards ----------------------------------------------------------------------------------------------------------


def test_few_raw_files_are_one_shard(backend: Backend) -> None:
    fill(backend)
    assert backend.source().shard_length("org") == 0


def test_folders_are_the_index_folders_ascending_where_the_store_has_them(backend: Backend) -> None:
    fill(backend)
    source = backend.source()
    names = [folder.prefix for folder in source.folders(Shard("org"))]
    assert names == (sorted({one[:3] for one in IDS}) if backend.has_folders else [])
    below = [folder.prefix for folder in source.folders(Shard("org", "ab"))]
    assert below == (["abc", "abd"] if backend.has_folders else [])
    assert list(source.folders(Shard("nobody"))) == []


def test_a_folder_shows_every_raw_file_that_comes_or_goes(backend: Backend) -> None:
    if not backend.has_folders:
        pytest.skip("has no folders")
    [first, *_] = fill(backend)
    source = backend.source()

    def fingerprints() -> dict[str, object]:
        return {folder.prefix: folder.fingerprint for folder in source.folders(Shard("org"))}

    seen = [fingerprints()]
    assert fingerprints() == seen[0]
    backend.save(RawFile("org", raw_id("0002")), b"new")
    seen.append(fingerprints())
    backend.delete(first)
    seen.append(fingerprints())
    assert len({folders["000"] for folders in seen}) == 3
    assert len({folders["abc"] for folders in seen}) == 1


def test_shards_partition_the_organization(backend: Backend) -> None:
    fill(backend)
    source = backend.source()
    whole, _ = scan(source)
    assert [entry.raw_id for entry in whole] == IDS
    for length in range(4):
        wanted = {one[:length] for one in IDS} | {"1" * length}
        shards = [shard for shard in shards_of("org", length) if shard.prefix in wanted]
        assert list(itertools.chain.from_iterable(scan(source, *shard)[0] for shard in shards)) == whole


@pytest.mark.parametrize("longest", [1, 3])
def test_shards_and_the_scan_for_strays_tell_each_stray_once(backend: Backend, longest: int) -> None:
    fill(backend)
    for name in STRAYS:
        backend.add_stray("org", name)
    source = backend.source()
    _, whole = scan(source)
    for length in range(1, longest + 1):
        told: list[Notice] = []
        source.scan_strays("org", told.append, length=length)
        prefixes = {name[:length] for name in (*IDS, *STRAYS)}
        for shard in shards_of("org", length):
            if shard.prefix in prefixes:
                told += scan(source, *shard)[1]
        assert sorted(told) == sorted(whole)


# --- scan ------------------------------------------------------------------------------------------------------------


def test_a_scan_is_strictly_ascending_and_tells_sizes(backend: Backend) -> None:
    for raw_file in reversed(fill(backend)):
        backend.save(raw_file._replace(organization="org-2"), b"another's")
    found, notices = scan(backend.source())
    assert [(entry.raw_id, entry.size) for entry in found] == [(one, number) for number, one in enumerate(IDS)]
    assert notices == []


def test_entries_tell_one_state_from_a_later_one(backend: Backend) -> None:
    [raw_file, *_] = fill(backend)
    source = backend.source()
    before = source.stat(raw_file)
    backend.save(raw_file, b"something else")
    after = source.stat(raw_file)
    assert before is not None
    assert after is not None
    assert before.version != after.version
    assert scan(source)[0][0] == after


def test_strays_are_told_with_the_reason_and_not_yielded(backend: Backend) -> None:
    fill(backend)
    for name in STRAYS:
        backend.add_stray("org", name)
    found, notices = scan(backend.source())
    assert [entry.raw_id for entry in found] == IDS
    assert sorted(notice.where.rpartition("/")[2] for notice in notices) == sorted(STRAYS)
    for notice in notices:
        assert (notice.kind, notice.organization, notice.size) == (NoticeKind.STRAY, "org", 5)
        assert notice.reason


def test_strays_below_the_prefix_are_told_by_their_shard(backend: Backend) -> None:
    fill(backend)
    for name in STRAYS:
        backend.add_stray("org", name)
    found, notices = scan(backend.source(), prefix="abc")
    assert [entry.raw_id for entry in found] == [IDS[5], IDS[6]]
    assert sorted(notice.where.rpartition("/")[2] for notice in notices) == ["abc", f"{IDS[5]}.bak"]


def test_own_temporary_files_are_no_strays_and_a_reader_leaves_them_alone(disk: DiskBackend) -> None:
    fill(disk)
    temporary = disk.root / "org" / IDS[0][:3] / f".{IDS[0]}.0abc12.bytes-migrator"
    temporary.write_bytes(b"half")
    found, notices = scan(disk.source())
    assert (len(found), notices) == (len(IDS), [])
    assert temporary.exists()


def test_keys_of_own_probes_are_no_strays(s3: S3Backend) -> None:
    fill(s3)
    s3.add_stray("org", ".bytes-migrator-probe/one")
    assert scan(s3.source())[1] == []


def test_an_organization_that_does_not_exist_is_empty(backend: Backend) -> None:
    fill(backend)
    source = backend.source()
    if backend.kind.endswith("-each"):
        with pytest.raises(BucketMissing):
            scan(source, "nobody")
    else:
        assert scan(source, "nobody") == ([], [])
    source.scan_strays("org", unheard)


def test_a_missing_place_is_empty_or_raises_but_is_never_something(backend: Backend) -> None:
    source = backend.source()
    if isinstance(backend, S3Backend):
        with pytest.raises(BucketMissing):
            scan(source)
    else:
        assert scan(source) == ([], [])
    assert source.stat(RawFile("org", IDS[0])) is None
    assert source.is_empty("org")
    assert not source.folders(Shard("org"))


def test_an_unreadable_folder_is_told_as_such_and_not_taken_for_empty(disk: DiskBackend) -> None:
    fill(disk)
    (disk.root / "org" / "abc").chmod(0)
    source = disk.source()
    with as_nobody():
        pass
    disk.root.chmod(0o755)
    (disk.root / "org").chmod(0o755)
    for index in {one[:3] for one in IDS} - {"abc"}:
        (disk.root / "org" / index).chmod(0o755)
    with as_nobody():
        found, notices = scan(source)
    assert [entry.raw_id for entry in found] == [one for one in IDS if not one.startswith("abc")]
    assert [(notice.kind, notice.where) for notice in notices] == [
        (NoticeKind.UNREADABLE_FOLDER, str(disk.root / "org" / "abc"))
    ]


def test_an_unreadable_organization_is_told_as_such(disk: DiskBackend) -> None:
    fill(disk)
    (disk.root / "org").chmod(0)
    disk.root.chmod(0o755)
    source = disk.source()
    with as_nobody():
        found, notices = scan(source)
        assert source.shard_length("org") == 0
        assert list(source.folders(Shard("org"))) == []
    assert found == []
    assert [notice.kind for notice in notices] == [NoticeKind.UNREADABLE_FOLDER]
    assert os.strerror(errno.EACCES) in notices[0].reason


@pytest.mark.row(22)
def test_links_are_reported_and_not_followed(disk: DiskBackend) -> None:
    outside = disk.root.parent / "outside"
    fill(disk)
    outside.mkdir()
    (outside / IDS[0]).write_bytes(b"outside")
    (disk.root / "org" / "eee").symlink_to(outside)
    (disk.root / "org" / "ddd").mkdir()
    linked = raw_id("ddd0")
    (disk.root / "org" / "ddd" / linked).symlink_to(outside / IDS[0])
    (disk.root / "linked").symlink_to(disk.root / "org")
    source = disk.source()
    found, notices = scan(source)
    assert [entry.raw_id for entry in found] == IDS
    assert sorted((notice.where, notice.kind, notice.code) for notice in notices) == [
        (f"{disk.root}/org/ddd/{linked}", NoticeKind.STRAY, ""),
        (f"{disk.root}/org/eee", NoticeKind.UNREADABLE_FOLDER, LINKED_FOLDER),
    ]
    assert list(source.organizations(notices.append)) == ["org"]
    assert notices[-1] == Notice(
        NoticeKind.UNREADABLE_FOLDER, f"{disk.root}/linked", LINKED_FOLDER_REASON, "linked", code=LINKED_FOLDER
    )
    assert scan(source, "linked") == ([], [])
    with pytest.raises(StoreError), source.open(RawFile("org", linked), Entry(linked, 7)):
        pass


@pytest.mark.row(24)
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_opened(disk: DiskBackend, kind: str) -> None:
    """A pipe without a writer would hold the run up for ever."""
    fill(disk)
    odd = raw_id("abc7")
    path = disk.path(RawFile("org", odd))
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(Unreadable), disk.source().open(RawFile("org", odd), Entry(odd, 0)):
        pass


# --- is_empty, look, can_read ----------------------------------------------------------------------------------------


def test_is_empty(backend: Backend) -> None:
    fill(backend)
    source = backend.source()
    assert not source.is_empty("org")
    assert source.is_empty("nobody")
    backend.add_stray("stray-only", "README")
    assert not source.is_empty("stray-only")


def test_is_empty_takes_one_request() -> None:
    with scripted(always(page(f"org/{IDS[0]}", truncated="true", token="more"))) as server:
        assert not S3Source(server.location(), quick_patience()).is_empty("org")
        assert len(server.asked) == 1


def test_look(backend: Backend) -> None:
    raw_files = fill(backend)
    source = backend.source()
    assert source.stat(raw_files[3]) == scan(source)[0][3]
    assert source.stat(RawFile("org", raw_id("1234"))) is None
    assert source.stat(RawFile("nobody", IDS[0])) is None
    backend.delete(raw_files[3])
    assert source.stat(raw_files[3]) is None


def test_what_is_listed_is_told_freshly(backend: Backend) -> None:
    raw_files = fill(backend)
    source = backend.source()
    assert source.is_listed(raw_files[3])
    assert not source.is_listed(RawFile("org", raw_id("1234")))
    assert not source.is_listed(RawFile("nobody", IDS[0]))
    backend.delete(raw_files[3])
    assert not source.is_listed(raw_files[3])


def test_can_read(backend: Backend) -> None:
    [raw_file, *_] = fill(backend)
    assert backend.source().can_read(raw_file)


def test_can_read_tells_a_file_that_may_not_be_read(disk: DiskBackend) -> None:
    [raw_file, *_] = fill(disk)
    for folder in (disk.root, disk.root / "org", disk.root / "org" / "000"):
        folder.chmod(0o755)
    disk.path(raw_file).chmod(0)
    source = disk.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with as_nobody():
        assert not source.can_read(raw_file)
        with pytest.raises(Unreadable), source.open(raw_file, entry):
            pass


def test_can_read_tells_one_file_from_another_in_a_folder_that_is_scanned(disk: DiskBackend) -> None:
    """Those with the same owner and mode are asked about once: of each raw file it has to be told what holds for it."""
    raw_files = fill(disk)
    closed = raw_files[1::2]
    for folder in (disk.root, disk.root / "org", *(disk.root / "org").iterdir()):
        folder.chmod(0o755)
    for raw_file in closed:
        disk.path(raw_file).chmod(0)
    source = disk.source()
    with as_nobody():
        told = [
            RawFile("org", entry.raw_id)
            for entry in source.scan(Shard("org"), lambda notice: None)
            if not source.can_read(RawFile("org", entry.raw_id))
        ]
        assert told == closed
        assert [one for one in reversed(raw_files) if not source.can_read(one)] == closed[::-1]


def test_describe_names_the_raw_file(backend: Backend) -> None:
    raw_file = RawFile("org", IDS[0])
    told = backend.source().describe(raw_file)
    assert told.endswith(IDS[0])
    assert "org" in told


# --- Content ---------------------------------------------------------------------------------------------------------


def test_reading_answers_full_pieces_up_to_the_end(backend: Backend) -> None:
    raw_file, source = RawFile("org", IDS[0]), None
    for size in (0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB):
        data = random.randbytes(size)
        backend.save(raw_file, data)
        source = source or backend.source()
        entry = source.stat(raw_file)
        assert entry is not None
        for piece in (64 * 1024 + 1, MIB):
            with source.open(raw_file, entry) as content:
                assert content.entry == entry
                for position in range(0, size, piece):
                    assert content.read(piece) == data[position : position + piece]
                assert content.read(piece) == b""
                assert content.read(piece) == b""
                content.finish()


def test_a_raw_file_that_is_gone_has_vanished(backend: Backend) -> None:
    [raw_file, *_] = fill(backend)
    source = backend.source()
    entry = source.stat(raw_file)
    assert entry is not None
    backend.delete(raw_file)
    with pytest.raises(Vanished), source.open(raw_file, entry):
        pass
    with pytest.raises(Vanished), source.open(RawFile("org", raw_id("1234")), Entry(raw_id("1234"), 0)):
        pass


@pytest.mark.parametrize("longer", [0, 100])
def test_what_changed_since_it_was_listed_is_told_or_read_as_it_is(backend: Backend, longer: int) -> None:
    """Never the old size with the new content."""
    raw_file = RawFile("org", IDS[0])
    backend.save(raw_file, b"a" * 100)
    source = backend.source()
    entry = source.stat(raw_file)
    assert entry is not None
    fresh = b"b" * (100 + longer)
    backend.save(raw_file, fresh)
    try:
        with source.open(raw_file, entry) as content:
            got = b"".join(iter(lambda: content.read(64), b""))
            content.finish()
            assert got == fresh
            assert content.entry.size == len(fresh)
    except SourceChanged:
        assert isinstance(backend, S3Backend)


@pytest.mark.row(19, 20, 21)
@pytest.mark.parametrize("change", ["longer", "other", "shorter", "deleted"])
def test_finish_tells_what_changed_while_it_was_read(backend: Backend, change: str) -> None:
    data = os.urandom(2 * MIB)
    raw_file = RawFile("org", IDS[0])
    backend.save(raw_file, data)
    source = backend.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        got = content.read(MIB)
        if change == "deleted":
            backend.delete(raw_file)
        else:
            backend.save(raw_file, {"longer": data + b"x", "other": data[::-1], "shorter": data[:100]}[change])
        try:
            while more := content.read(MIB):
                got += more
            content.finish()
        except (SourceChanged, Vanished, NotTheSame):
            return
    assert isinstance(backend, S3Backend), "a file on disk is not one whole state any more"
    assert got == data


def test_finish_tells_what_was_not_read_to_its_end(backend: Backend) -> None:
    raw_file = RawFile("org", IDS[0])
    backend.save(raw_file, b"0123456789")
    source = backend.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        content.read(5)
        with pytest.raises((SourceChanged, NotTheSame)):
            content.finish()


def test_a_part_of_a_file_is_read_by_itself_and_counts_as_read(disk: DiskBackend) -> None:
    raw_file, data = RawFile("org", IDS[0]), random.randbytes(3 * MIB)
    disk.save(raw_file, data)
    source = disk.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        head = content.read(10)
        parts = [content.part(MIB), content.part(MIB)]
        tail = content.read(2 * MIB)
        content.finish()
    assert parts[0] is not None
    assert parts[1] is not None
    with parts[0], parts[1], ThreadPoolExecutor(2) as pool:
        begins = [part.tell() for part in parts if part is not None]
        later = pool.submit(parts[1].read, MIB)
        assert head + pool.submit(parts[0].read, MIB).result() + later.result() + tail == data
        parts[0].seek(begins[0])
        assert parts[0].read(5) == data[10:15]
    assert begins == [10, 10 + MIB]


def test_a_store_without_descriptors_gives_no_part_and_steps_over_nothing(s3: S3Backend) -> None:
    raw_file = RawFile("org", IDS[0])
    s3.save(raw_file, b"0123456789")
    source = s3.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        assert content.part(5) is None
        assert content.read(10) == b"0123456789"
        content.finish()


@pytest.mark.parametrize("lie", ["size", "etag"])
def test_an_entry_that_is_not_true_is_told(s3: S3Backend, lie: str) -> None:
    raw_file = RawFile("org", IDS[0])
    s3.save(raw_file, b"0123456789")
    source = s3.source()
    entry = source.stat(raw_file)
    assert entry is not None
    wrong = entry._replace(size=11) if lie == "size" else entry._replace(etag="0" * 32)
    told = SourceChanged if lie == "etag" else NotTheSame  # under the same ETag it is the server that answers otherwise
    with pytest.raises(told), source.open(raw_file, wrong):
        pass


def test_a_multipart_object_reads_back_proven(s3: S3Backend) -> None:
    """Made by another tool, with part sizes of its own."""
    raw_file, data = RawFile("org", IDS[0]), os.urandom(11 * MIB)
    place = {"Bucket": s3.bucket("org"), "Key": s3.location.naming.key_of(raw_file)}
    upload = s3.client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), 5 * MIB), 1):
        answer = s3.client.upload_part(**place, UploadId=upload, PartNumber=number, Body=data[start : start + 5 * MIB])
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    source = s3.source()
    entry = source.stat(raw_file)
    assert entry is not None
    assert (entry.etag or "").endswith("-3")
    assert read_all(source, raw_file) == data


def test_every_method_may_be_called_from_any_thread(backend: Backend) -> None:
    raw_files = fill(backend)
    source = backend.source()
    expected = scan(source)

    def use(number: int) -> object:
        raw_file = raw_files[number % len(raw_files)]
        assert scan(source) == expected
        assert read_all(source, raw_file) == b"x" * (number % len(raw_files))
        assert not source.is_empty("org")
        return list(source.organizations(unheard))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(12))) == [["org"]] * 12


def test_errors_are_in_the_words_of_this_program(backend: Backend) -> None:
    """An organization whose bucket boto3 would not even ask for."""
    source, name = backend.source(), "gemeente-éé"
    calls: list[Any] = [
        lambda: source.is_empty(name),
        lambda: source.stat(RawFile(name, IDS[0])),
        lambda: list(source.scan(Shard(name), unheard)),
    ]
    for call in calls:
        with contextlib.suppress(MigratorError):
            call()


def test_a_stamp_tells_one_state_from_a_later_one(backend: Backend) -> None:
    raw_file = RawFile("org", IDS[0])
    backend.save(raw_file, b"0123456789")
    source = backend.source()
    stamps = []
    for data in (None, None, b"9876543210"):
        if data is not None:
            backend.save(raw_file, data)
        entry = source.stat(raw_file)
        assert entry is not None
        with source.open(raw_file, entry) as content:
            stamps.append(content.source_version)
    assert stamps[0] == stamps[1] != stamps[2]


@pytest.mark.parametrize("honest", [True, False])
def test_what_an_earlier_run_read_is_proven_with_the_rest(s3: S3Backend, honest: bool) -> None:
    raw_file, data = RawFile("org", IDS[0]), random.Random(5).randbytes(18 * MIB)
    s3.save(raw_file, data)
    source = s3.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        unit = content.resume_unit
        if not unit:
            pytest.skip("cannot begin in the middle")
        content.resume_with(data[:unit] if honest else data[1:unit] + b"!")
        rest = b"".join(iter(lambda: content.read(MIB), b""))
        if honest:
            assert rest == data[unit:]
            content.finish()
        else:
            with pytest.raises(NotTheSame):
                content.finish()


# --- a disk that fails, or a server's that forgot an opened file ------------------------------------------------------


def failing(number: int, *, at: int = 1) -> Any:
    """Stands for a call of the system that fails the time of that number and ever after."""
    calls = itertools.count(1)

    def fail(original: Any) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            if next(calls) >= at:
                raise OSError(number, os.strerror(number))
            return original(*given, **named)

        return called

    return fail


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("at", [1, 2])
def test_an_opened_file_that_cannot_be_asked_for_its_state(
    disk: DiskBackend, number: int, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_file = fill(disk)[-1]
    source = disk.source()
    entry = source.stat(raw_file)
    assert entry is not None
    with monkeypatch.context() as patched, contextlib.ExitStack() as opened:
        patched.setattr(os, "fstat", failing(number, at=at)(os.fstat))
        with pytest.raises(StoreError, match=os.strerror(number)):
            read_and_finish(opened.enter_context(source.open(raw_file, entry)))


def read_and_finish(content: Content) -> None:
    content.read(MIB)
    content.finish()


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_an_organization_that_cannot_be_listed(disk: DiskBackend, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(disk)
    source = disk.source()
    for call in ("listdir", "scandir", "fstat"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing(number)(getattr(os, call)))
            assert source.shard_length("org") == 0 or call == "scandir"
            if call != "scandir":
                with pytest.raises(StoreError, match=os.strerror(number)):
                    list(source.scan(Shard("org", "0"), unheard))
            else:
                with pytest.raises(StoreError, match=os.strerror(number)):
                    source.is_empty("org")


def test_a_large_one_may_be_opened_again_by_who_reads_it(backend: Backend) -> None:
    content = random.Random(1).randbytes(17 * MIB)
    raw_file = RawFile("org", IDS[0])
    backend.save(raw_file, content)
    source = backend.source()
    entry = source.stat(raw_file)
    assert entry is not None

    def read_within() -> bytes:
        with source.open(raw_file, entry) as first:
            first.read(1)
            return read_all(source, raw_file)

    with ThreadPoolExecutor(1) as beside:
        assert beside.submit(read_within).result(timeout=60) == content
