"""Uploads in parts to servers that prove little: what is believed of their answers, and what is looked at once more."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from migrator.core.entities import RawFile
from migrator.core.errors import NotTheSame, SourceChanged
from migrator.core.protocols import Content
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.target import S3Target
from tests.backends import DiskBackend, raw_id
from tests.fakes import quick_patience
from tests.memory_store import MemoryStore
from tests.scripted import Asked, Reply, Scripted, scripted

MIB = 1 << 20
ONE = RawFile("org", raw_id("0001"))
DATA = bytes(range(256)) * (17 * MIB // 256) + b"and some"


class Server:
    """Takes an upload, whole or in parts. `etag` is what it answers for everything, `damage` what it does to what it was sent in parts."""

    def __init__(self, etag: str = '"opaque"', *, damage: bytes = b"", fails: int = 0) -> None:
        self._etag = {"ETag": etag}
        self._fails = fails
        self._damage = damage
        self._parts: dict[int, bytes] = {}
        self.content: bytes | None = None
        self.reads = 0
        self.lengths: list[int] = []

    def __call__(self, asked: Asked, number: int) -> Reply:
        part = re.search(r"partNumber=(\d+)", asked.path)
        if asked.method == "PUT" and self._fails:
            self._fails -= 1
            return Reply(500, b"<Error><Code>InternalError</Code></Error>")
        if asked.method == "PUT":
            self.lengths.append(len(asked.body))
            self._parts[int(part.group(1)) if part is not None else 1] = asked.body
            self.content = asked.body if part is None else None
            return Reply(200, headers=self._etag)
        if asked.method == "POST" and "uploads" in asked.path:
            return Reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        if asked.method == "POST":
            content = b"".join(self._parts[number] for number in sorted(self._parts))
            self.content = self._damage + content[len(self._damage) :]
            return Reply(200, b"<CompleteMultipartUploadResult><ETag>opaque</ETag></CompleteMultipartUploadResult>")
        if asked.method == "DELETE":
            return Reply(204)
        if self.content is None:
            return Reply(404)
        if asked.method == "HEAD":
            return Reply(200, headers={**self._etag, "Content-Length": str(len(self.content))})
        return self._range(asked, self.content)

    def _range(self, asked: Asked, content: bytes) -> Reply:
        self.reads += 1
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("Range", asked.headers.get("range", "")))
        assert found is not None
        begin, end = int(found.group(1)), int(found.group(2)) + 1
        told = {**self._etag, "Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
        return Reply(206, content[begin:end], told)


@contextmanager
def target_at(server: Scripted, abilities: Capabilities) -> Iterator[S3Target]:
    store = S3Target(server.location(), quick_patience(), abilities=abilities, create_buckets=True)
    with closing(store):
        yield store


@contextmanager
def opened() -> Iterator[Content]:
    store = MemoryStore()
    store.save(ONE, DATA)
    entry = store.stat(ONE)
    assert entry is not None
    with store.open(ONE, entry) as content:
        yield content


@pytest.mark.parametrize("checks_md5", [False, True])
def test_what_no_digest_proves_is_read_back(checks_md5: bool) -> None:
    server = Server()
    with (
        scripted(server) as there,
        target_at(there, Capabilities(checks_md5=checks_md5)) as target,
        opened() as content,
    ):
        assert target.store(ONE, content).version == "opaque"
    assert server.content == DATA
    assert (server.reads > 0) is not checks_md5, "a server that checks each part has proven them"


def test_damage_on_the_way_to_a_server_that_proves_nothing_is_found() -> None:
    server = Server(damage=b"rotten")
    with (
        scripted(server) as there,
        target_at(there, Capabilities()) as target,
        opened() as content,
        pytest.raises(NotTheSame, match="other bytes"),
    ):
        target.store(ONE, content)


@pytest.mark.parametrize(
    ("size", "most_parts", "lengths"), [(len(DATA) + 16 * MIB, 2, 32), (len(DATA), 10_000, 8), (16 * MIB, 10_000, 16)]
)
def test_a_file_on_disk_is_sent_from_there_and_sent_again_whole(
    size: int, most_parts: int, lengths: int, tmp_path: Path
) -> None:
    """In memory are pieces of a part or of a whole object, and nothing of it is read ahead: some of up to 1 GiB are in flight at once."""
    disk, large = DiskBackend(tmp_path / "data"), (DATA + DATA)[:size]
    disk.save(ONE, large)
    server = Server(fails=2)
    with (
        closing(disk),
        scripted(server) as there,
        target_at(there, Capabilities(checks_md5=True, most_parts=most_parts)) as target,
    ):
        source = disk.source()
        entry = source.stat(ONE)
        assert entry is not None
        with source.open(ONE, entry) as content:
            with_watch = ReadsCounted(content)
            target.store(ONE, with_watch)
    assert server.content == large
    assert max(server.lengths) == lengths * MIB
    assert with_watch.largest == 0, "it was read into memory"


class ReadsCounted:
    """A content that notes how much was read of it into memory at once."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.entry = content.entry
        self.source_version = content.source_version
        self.resume_unit = content.resume_unit
        self.resume_with = content.resume_with
        self.part = content.part
        self.finish = content.finish
        self.largest = 0

    def read(self, size: int) -> bytes:
        self.largest = max(self.largest, size)
        return self._content.read(size)

    def borrow(self, size: int) -> memoryview:
        return memoryview(self.read(size))


def test_a_content_that_ends_early_is_not_completed() -> None:
    server = Server()
    with (
        scripted(server) as there,
        target_at(there, Capabilities(checks_md5=True)) as target,
        opened() as content,
    ):
        content.read(3 * MIB)
        with pytest.raises(SourceChanged, match="ended early"):
            target.store(ONE, content)
    assert server.content is None


@pytest.mark.parametrize("size", [4 * MIB, len(DATA)], ids=["whole", "in parts"])
@pytest.mark.parametrize("change", [lambda path: os.truncate(path, 10), lambda path: path.write_bytes(b"other")])
def test_a_file_that_changes_after_it_was_hashed_is_told_at_once(
    size: int, change: Callable[[Path], object], tmp_path: Path
) -> None:
    disk = DiskBackend(tmp_path / "data")
    disk.save(ONE, DATA[:size])
    [path] = (tmp_path / "data").rglob(ONE.raw_id)
    server = Server(fails=1_000)

    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "PUT":
            change(path)
        return server(asked, number)

    with closing(disk), scripted(script) as there, target_at(there, Capabilities(checks_md5=True)) as target:
        source = disk.source()
        entry = source.stat(ONE)
        assert entry is not None
        with source.open(ONE, entry) as content, pytest.raises(SourceChanged):
            target.store(ONE, content)
    assert server.content is None
