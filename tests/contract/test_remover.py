"""`Remover`: each sentence of its docstrings, on disk and on S3; and what its deletions must not touch."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from migrator.checks.prune.ends import Remover
from migrator.core.entities import Entry, RawFile, Shard
from migrator.core.errors import OutOfPatience, SourceChanged, StoreError, Unavailable, Vanished
from migrator.stores.disk.remover import DiskRemover
from migrator.stores.s3.remover import S3Remover, keeps_versions
from migrator.stores.s3.source import S3Source
from tests.backends import S3_KINDS, Backend, DiskBackend, S3Backend, raw_id, state_of
from tests.conftest import FreshNames
from tests.fakes import quick_patience
from tests.scripted import Asked, Reply, always, error, page, scripted
from tests.servers import S3Server, Servers

FILES = [RawFile("org", raw_id(digits)) for digits in ("0001", "0002", "abc0", "abc1")]
CONTENTS = {raw_file: raw_file.raw_id.encode() for raw_file in FILES}


@pytest.fixture(params=("disk", *S3_KINDS))
def place(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers, fresh_names: FreshNames
) -> Iterator[Backend]:
    kind: str = request.param
    opened: Backend = (
        DiskBackend(tmp_path / "data")
        if kind == "disk"
        else S3Backend(kind, servers.get(kind.partition("-")[0]), fresh_names)
    )
    for raw_file, data in CONTENTS.items():
        opened.save(raw_file, data)
    yield opened
    opened.close()


def remover_of(place: Backend) -> Remover:
    if isinstance(place, DiskBackend):
        return DiskRemover(place.root, run="mine")
    source = place.source()
    assert isinstance(source, S3Source)
    return S3Remover(source)


def entries(place: Backend) -> list[tuple[RawFile, Entry]]:
    found = {entry.raw_id: entry for entry in place.source().scan(Shard("org"), lambda notice: None)}
    return [(raw_file, found[raw_file.raw_id]) for raw_file in FILES]


def without(*gone: RawFile) -> dict[RawFile, bytes]:
    return {raw_file: data for raw_file, data in CONTENTS.items() if raw_file not in gone}


def test_each_is_answered_once_and_nothing_else_goes(place: Backend) -> None:
    place.add_stray("org", "abc-notes.txt")
    chosen = [one for one in entries(place) if one[0] != FILES[1]]
    assert dict(remover_of(place).remove(chosen)) == dict.fromkeys([FILES[0], *FILES[2:]])
    assert place.state() == state_of(without(FILES[0], *FILES[2:]))


@pytest.mark.parametrize("change", ["other size", "same size"])
def test_what_is_not_what_was_read_stays(place: Backend, change: str) -> None:
    proven = entries(place)
    altered = {"other size": b"longer than it was" * 3, "same size": CONTENTS[FILES[0]][::-1]}[change]
    place.save(FILES[0], altered)
    [(raw_file, fault)] = remover_of(place).remove(proven)
    assert raw_file == FILES[0]
    assert isinstance(fault, SourceChanged)
    assert place.state() == state_of({**CONTENTS, FILES[0]: altered})


def test_what_went_before_the_one_that_changed_is_told(place: Backend) -> None:
    """On disk they go one by one; S3 looks at all of them first."""
    proven = entries(place)
    place.save(FILES[2], b"altered")
    answers = dict(remover_of(place).remove(proven))
    gone = [raw_file for raw_file, fault in answers.items() if fault is None]
    assert isinstance(answers[FILES[2]], SourceChanged)
    assert gone == (FILES[:2] if place.has_folders else [])
    assert place.state() == state_of({**without(*gone), FILES[2]: b"altered"})


def test_what_is_gone_is_told(place: Backend) -> None:
    proven = entries(place)
    place.delete(FILES[0])
    [(raw_file, fault)] = remover_of(place).remove(proven)
    assert raw_file == FILES[0]
    assert isinstance(fault, (SourceChanged, Vanished))
    assert place.state() == state_of(without(FILES[0]))


def test_a_mark_is_found_at_the_same_place_and_no_raw_file(place: Backend) -> None:
    """By another store, which may have another way there; and every raw file stays as it is."""
    before = place.state()
    mark, take_away = remover_of(place).mark(FILES[0])
    assert place.source().stat(mark) is not None
    assert place.state() == before
    take_away()
    assert place.source().stat(mark) is None
    assert place.state() == before


def test_a_mark_that_a_kill_left_is_no_raw_file_and_no_obstacle(place: Backend) -> None:
    remover_of(place).mark(FILES[0])
    target = place.target()
    assert [entry.raw_id for entry in target.scan(Shard("org"), lambda notice: None)] == [
        raw_file.raw_id for raw_file in FILES
    ]
    assert place.state() == state_of(CONTENTS), "whoever writes there takes no raw file for a leftover"


# --- disk ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(disk: DiskBackend) -> DiskBackend:
    for raw_file, data in CONTENTS.items():
        disk.save(raw_file, data)
    return disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_is_marked_too(filled: DiskBackend, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = os.open

    def full(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return opens(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", full)
    mark, take_away = DiskRemover(filled.root, run="mine").mark(FILES[0])
    assert filled.source().stat(mark) is not None
    take_away()
    assert filled.source().stat(mark) is None
    assert filled.state() == state_of(CONTENTS)
    assert filled.path(FILES[0]).stat().st_nlink == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "unlink", "stat"])
def test_what_the_disk_says_is_the_answer(
    filled: DiskBackend, number: int, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven = entries(filled)
    remover = DiskRemover(filled.root, run="mine")

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fails)
        [(raw_file, fault)] = remover.remove(proven)
    assert raw_file == FILES[0]
    assert isinstance(fault, StoreError)
    assert os.strerror(number) in fault.what
    assert filled.state() == state_of(CONTENTS)


@pytest.mark.parametrize("call", ["open", "link"])
def test_a_mark_that_cannot_be_put_is_told(filled: DiskBackend, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = os.open

    def fails(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC if call == "link" else errno.EROFS, "no")
        return opens(path, flags, *more, **named)

    def refuses(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "open", fails)
    monkeypatch.setattr(os, "link", refuses)
    with pytest.raises(StoreError, match={"open": "Read-only", "link": "not permitted"}[call]):
        DiskRemover(filled.root, run="mine").mark(FILES[0])


@pytest.mark.parametrize("level", ["organization", "index", "raw file"])
def test_links_that_came_meanwhile_lead_nowhere(filled: DiskBackend, level: str, tmp_path: Path) -> None:
    """The same content lies behind them, even the same inode; it is not where it was read."""
    proven = entries(filled)
    path = filled.path(FILES[0])
    path = {"organization": path.parent.parent, "index": path.parent, "raw file": path}[level]
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    [(raw_file, fault)] = DiskRemover(filled.root, run="mine").remove(proven)
    assert raw_file == FILES[0]
    assert fault is not None
    kept = {"organization": "000/" + FILES[0].raw_id, "index": FILES[0].raw_id, "raw file": ""}[level]
    assert (elsewhere / kept).read_bytes() == CONTENTS[FILES[0]]


def test_a_raw_file_with_another_name_elsewhere_loses_this_one_alone(filled: DiskBackend, tmp_path: Path) -> None:
    os.link(filled.path(FILES[0]), tmp_path / "other name")
    assert dict(DiskRemover(filled.root, run="mine").remove(entries(filled))) == dict.fromkeys(FILES)
    assert (tmp_path / "other name").read_bytes() == CONTENTS[FILES[0]]


def test_only_folders_that_are_empty_go_and_only_those_it_emptied(filled: DiskBackend) -> None:
    filled.add_stray("org", "abc-notes.txt")
    untouched = filled.root / "org" / "fff"
    untouched.mkdir()
    remover = DiskRemover(filled.root, run="mine")
    list(remover.remove(entries(filled)))
    assert remover.remove_empty_folders() == 1
    assert sorted(path.name for path in (filled.root / "org").iterdir()) == ["abc", "fff"]
    assert filled.root.is_dir()


def test_an_organization_that_is_empty_goes_and_the_data_folder_stays(filled: DiskBackend) -> None:
    remover = DiskRemover(filled.root, run="mine")
    list(remover.remove(entries(filled)))
    assert remover.remove_empty_folders() == 3, "000, abc and their organization"
    assert list(filled.root.iterdir()) == []


# --- S3 --------------------------------------------------------------------------------------------------------------


ETAG = "0123456789abcdef0123456789abcdef"


def answers_of(answer: Reply, files: list[RawFile]) -> tuple[dict[RawFile, StoreError | None], list[Asked]]:
    """What is told of raw files that are as they were, when the server answers DeleteObjects so."""

    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "HEAD":
            return Reply(200, headers={"ETag": f'"{ETAG}"', "Content-Length": "36"})
        return answer

    with scripted(script) as server:
        source = S3Source(server.location(), quick_patience())
        told = list(S3Remover(source).remove([(raw_file, Entry(raw_file.raw_id, 36, ETAG)) for raw_file in files]))
        source.close()
        assert len(dict(told)) == len(told)
        return dict(told), server.asked


def result(*lines: str) -> Reply:
    text = f"<DeleteResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{''.join(lines)}</DeleteResult>"
    return Reply(200, text.encode(), {"Content-Type": "application/xml"})


def deleted(raw_file: RawFile) -> str:
    return f"<Deleted><Key>org/{raw_file.raw_id}</Key></Deleted>"


def kept(raw_file: RawFile) -> str:
    return f"<Error><Key>org/{raw_file.raw_id}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"


def test_what_a_server_does_not_say_it_deleted_was_not() -> None:
    told, _ = answers_of(result(deleted(FILES[0]), kept(FILES[1])), FILES[:3])
    assert told[FILES[0]] is None
    assert "AccessDenied" in told[FILES[1]].what  # type: ignore[union-attr]
    assert "did not say" in told[FILES[2]].what  # type: ignore[union-attr]


def test_a_server_that_says_two_things_of_one_is_counted_once() -> None:
    told, _ = answers_of(result(deleted(FILES[0]), deleted(FILES[0]), kept(FILES[0]), deleted(FILES[3])), FILES[:1])
    assert told == {FILES[0]: None}


def test_a_server_that_goes_on_failing_ends_it_and_nothing_counts_as_deleted() -> None:
    with pytest.raises(OutOfPatience, match="slow down"):
        answers_of(error(503, "SlowDown"), FILES)


@pytest.mark.parametrize(
    "refusal",
    [
        error(501, "NotImplemented"),
        error(405, "MethodNotAllowed"),
        error(403, "AccessDenied"),
        error(400, "MalformedXML"),
    ],
)
def test_a_server_that_does_not_delete_many_at_once_is_asked_for_each(refusal: Reply) -> None:
    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "HEAD":
            return Reply(200, headers={"ETag": f'"{ETAG}"', "Content-Length": "36"})
        return Reply(204) if asked.method == "DELETE" else refusal

    with scripted(script) as server:
        source = S3Source(server.location(), quick_patience())
        remover = S3Remover(source)
        proven = [(raw_file, Entry(raw_file.raw_id, 36, ETAG)) for raw_file in FILES]
        told = dict(remover.remove(proven[:2])) | dict(remover.remove(proven[2:]))
        source.close()
    assert told == dict.fromkeys(FILES)
    methods = [asked.method for asked in server.asked]
    assert methods.count("DELETE") == len(FILES)
    assert methods.count("POST") == 1, "asked once, and remembered"


def test_deleting_one_by_one_ends_at_the_first_that_changed_since() -> None:
    looks = iter([ETAG, ETAG, ETAG, "f" * 32])

    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "HEAD":
            return Reply(200, headers={"ETag": f'"{next(looks)}"', "Content-Length": "36"})
        return Reply(204) if asked.method == "DELETE" else error(501, "NotImplemented")

    with scripted(script) as server:
        source = S3Source(server.location(), quick_patience())
        told = dict(S3Remover(source).remove([(one, Entry(one.raw_id, 36, ETAG)) for one in FILES[:2]]))
        source.close()
    assert told[FILES[0]] is None
    assert isinstance(told[FILES[1]], SourceChanged)
    assert [asked.method for asked in server.asked].count("DELETE") == 1


@pytest.mark.parametrize(
    "header", [{"ETag": '"other"', "Content-Length": "36"}, {"ETag": f'"{ETAG}"', "Content-Length": "35"}]
)
def test_nothing_is_asked_for_when_one_looks_different(header: dict[str, str]) -> None:
    with scripted(lambda asked, number: Reply(200, headers=header)) as server:
        source = S3Source(server.location(), quick_patience())
        [(_, fault)] = S3Remover(source).remove([(FILES[0], Entry(FILES[0].raw_id, 36, ETAG))])
        source.close()
        assert isinstance(fault, SourceChanged)
        assert {asked.method for asked in server.asked} == {"HEAD"}


def test_the_list_of_names_has_its_md5_which_older_servers_ask_for() -> None:
    _, asked = answers_of(result(*map(deleted, FILES)), FILES)
    [request] = [one for one in asked if one.method == "POST"]
    assert request.headers["Content-MD5"] == base64.b64encode(hashlib.md5(request.body).digest()).decode()


@pytest.mark.parametrize("kept", [(False, False), (True, False), (True, True)])
def test_versions_and_locks_of_a_bucket_are_known(
    moto: S3Server, fresh_names: FreshNames, kept: tuple[bool, bool]
) -> None:
    client, bucket = moto.client(), fresh_names.bucket
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=kept[1])
    if kept[0]:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert keeps_versions(client, bucket) == kept


def test_a_server_that_fails_is_no_bucket_without_versions() -> None:
    with scripted(always(error(503, "SlowDown"))) as server:
        source = S3Source(server.location(), quick_patience())
        with pytest.raises(Unavailable):
            keeps_versions(source.client, "bucket")
        source.close()


class Lists:
    """Lists objects of 3 bytes that are there; `late` leaves out what was put. Other ETags by HEAD than in the listing: `by_head`."""

    def __init__(self, *keys: str, late: bool = False, by_head: str = "e") -> None:
        self.keys, self.late, self.by_head = set(keys), late, by_head

    def __call__(self, asked: Asked, number: int) -> Reply:
        key = unquote(asked.path.partition("?")[0]).removeprefix("/bucket/")
        if asked.method == "POST":
            return result(*(f"<Deleted><Key>{key}</Key></Deleted>" for key in self.keys))
        if asked.method == "HEAD":
            return Reply(200, headers={"ETag": f'"{self.by_head}"', "Content-Length": "3"})
        if asked.method == "PUT" and not self.late:
            self.keys.add(key)
        if asked.method == "DELETE":
            self.keys.discard(key)
        if asked.method != "GET":
            return Reply(204 if asked.method == "DELETE" else 200)
        query = parse_qs(asked.path.partition("?")[2])
        prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
        return page(*sorted(key for key in self.keys if key.startswith(prefix) and key > after))


def looked_at(script: Lists, etag: str = "e") -> tuple[dict[RawFile, StoreError | None], list[str]]:
    """What is told of raw files that were read with this ETag, after a mark; and the methods that the server was asked by."""
    with scripted(script) as server:
        source = S3Source(server.location(), quick_patience())
        remover = S3Remover(source)
        remover.mark(FILES[0])[1]()
        told = dict(remover.remove([(raw_file, Entry(raw_file.raw_id, 3, etag)) for raw_file in FILES]))
        source.close()
        return told, [asked.method for asked in server.asked]


KEYS = [f"org/{raw_file.raw_id}" for raw_file in FILES]


def test_one_listing_shows_that_all_are_as_they_were_read() -> None:
    told, methods = looked_at(Lists(*KEYS, f"org/{raw_id('0003')}", "org/stray"))
    assert told == dict.fromkeys(FILES)
    assert "HEAD" not in methods
    assert methods.count("GET") == 2, "the mark, and the batch"


@pytest.mark.parametrize("script", [Lists(*KEYS, late=True), Lists(*KEYS[1:], KEYS[0].upper())])
def test_what_a_listing_does_not_show_is_looked_at_by_itself(script: Lists) -> None:
    """All, where the listing is late; or one that it leaves out."""
    missing = len(FILES) if script.late else 1
    told, methods = looked_at(script)
    assert methods.count("HEAD") == missing
    assert set(told) == set(FILES)


def test_one_that_the_listing_shows_otherwise_is_deleted_only_if_it_is_as_it_was_read() -> None:
    told, methods = looked_at(Lists(*KEYS, by_head="other"), etag="read")
    assert isinstance(told[FILES[0]], SourceChanged)
    assert "POST" not in methods
    told, methods = looked_at(Lists(*KEYS, by_head="read"), etag="read")
    assert told == dict.fromkeys(FILES)


@pytest.mark.parametrize("change", ["altered", "gone"])
def test_what_changed_before_the_listing_stays(place: Backend, change: str) -> None:
    remover, proven = remover_of(place), entries(place)
    remover.mark(FILES[0])[1]()
    if change == "gone":
        place.delete(FILES[2])
    else:
        place.save(FILES[2], CONTENTS[FILES[2]][::-1])
    answers = dict(remover.remove(proven))
    assert isinstance(answers[FILES[2]], (SourceChanged, Vanished))
    kept = CONTENTS if not place.has_folders else without(*FILES[:2])
    assert place.state() == state_of(
        {**kept, FILES[2]: CONTENTS[FILES[2]][::-1]}
        if change == "altered"
        else {name: data for name, data in kept.items() if name != FILES[2]}
    )
