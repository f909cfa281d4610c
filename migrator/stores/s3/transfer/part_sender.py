"""The parts of an upload: sent or copied some at a time, each proven by its MD5."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from s3transfer.utils import ReadFileChunk

from migrator.core.entities import Entry
from migrator.core.equality import confirms, is_plain_md5
from migrator.core.errors import NotTheSame, StoreError, Unavailable
from migrator.core.protocols import Content, Moved
from migrator.stores.s3.errors.error_fields import code_of
from migrator.stores.s3.http.file_body import body_of, md5_of, refuse_changed_body
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.part_sizes import parts_in_flight
from migrator.stores.s3.transfer.memory_part import read_to_memory
from migrator.stores.s3.transfer.object_reads import ObjectAddress
from migrator.stores.s3.transfer.part_window import PARTS_AT_ONCE, PartWindow
from migrator.stores.s3.transfer.unfinished_uploads import ListedPart
from migrator.stores.s3.transfer.upload_requests import (
    COPY_UNPROVEN,
    PARTS_LIMITED,
    TOO_MANY_PARTS,
    UPLOAD_LOST,
    UploadRequests,
)
from migrator.transfer.retry import LEAST_ATTEMPTS, ROUNDS


class SentPart(NamedTuple):
    """A part that arrived: its digest, and the ETag that the server gave it."""

    number: int
    md5: bytes
    etag: str


class _Range(NamedTuple):
    """A part of an object that is copied."""

    number: int
    begin: int
    size: int


class PartSender:
    """Brings the parts of one upload that is begun; those that are there already, with just this content, are kept."""

    def __init__(self, requests: UploadRequests) -> None:
        self._requests = requests
        self._means = requests.means
        self._abilities = requests.abilities
        self._retry = requests.retry
        self._place = requests.place

    def send_all(self, content: Content, part_size: int, kept: dict[int, ListedPart]) -> list[SentPart]:
        """Read and send all parts; return them in order. Raises StoreError."""
        size = content.entry.size

        def parts(window: PartWindow[SentPart]) -> Iterator[SentPart]:
            for number, begin in enumerate(range(0, size, part_size), 1):
                length, read = min(part_size, size - begin), Future[ReadFileChunk]()
                part = content.part(length)
                send = partial(self._send_part, number, read, kept.get(number))
                try:
                    # Room in memory is reserved first, and the part read then; one that is a file needs none.
                    yield from self._begin_part(window, send, 0 if part is not None else length)
                    part = part or read_to_memory(content, length, self._means.executor.buffers)
                    read.set_result(body_of(part, length))
                except BaseException as error:
                    if part is not None:
                        part.close()
                    read.set_exception(error)
                    raise

        return self._in_order(parts, parts_in_flight(size, part_size))

    def copy_all(
        self, origin: ObjectAddress, entry: Entry, part_size: int, kept: dict[int, ListedPart], moved: Moved
    ) -> list[SentPart]:
        """Have the server copy all parts from `origin`; return them in order. Raises StoreError."""

        def copy(piece: _Range) -> SentPart:
            done = self._copy_part(origin, entry, piece, kept.get(piece.number))
            moved(piece.size)
            return done

        def parts(window: PartWindow[SentPart]) -> Iterator[SentPart]:
            for number, begin in enumerate(range(0, entry.size, part_size), 1):
                piece = _Range(number, begin, min(part_size, entry.size - begin))
                yield from self._begin_part(window, partial(copy, piece), 0)

        return self._in_order(parts, PARTS_AT_ONCE)

    def _in_order(self, parts: Callable[[PartWindow[SentPart]], Iterator[SentPart]], at_once: int) -> list[SentPart]:
        """Return all parts in order; `parts` begins them in a window and yields those that it took to make room."""
        window = PartWindow[SentPart](self._means.executor, at_once)
        try:
            done = list(parts(window))
            while window:
                done.append(window.take())
        finally:
            window.close()
        return done

    def _begin_part(self, window: PartWindow[SentPart], call: Callable[[], SentPart], size: int) -> Iterator[SentPart]:
        """Begin with a part of `size` bytes in memory; yield those that are taken to make room.

        Raises Interrupted when the run is asked to stop.
        """
        self._means.patience.go_on()
        while not window.begin(call, size):
            yield window.take()

    def _copy_part(self, origin: ObjectAddress, entry: Entry, piece: _Range, kept: ListedPart | None) -> SentPart:
        """Have the server copy a part; one that is there with the right size is kept unread.

        The ETag of the whole tells whether it was right.

        Raises:
            StoreError: If the server does not tell the part's MD5.
        """
        etag = kept.etag if kept is not None and kept.size == piece.size else ""
        if not etag:
            parameters = {
                "UploadId": self._requests.upload_id,
                "PartNumber": piece.number,
                "CopySource": {"Bucket": origin.bucket, "Key": origin.key},
                "CopySourceIfMatch": quoted(entry.etag or ""),
                "CopySourceRange": f"bytes={piece.begin}-{piece.begin + piece.size - 1}",
            }
            answer = self._retry(lambda: self._requests.call("upload_part_copy", parameters))
            etag = clean_etag(answer.get("CopyPartResult", {}).get("ETag")) or ""
        if not is_plain_md5(etag):
            raise StoreError(COPY_UNPROVEN, f"The server copies parts of {origin} without telling their MD5.")
        return SentPart(piece.number, bytes.fromhex(etag), etag)

    def _send_part(self, number: int, read: Future[ReadFileChunk], kept: ListedPart | None) -> SentPart:
        """Send a part, unless it is there already with just this content. Waits for what is `read`, and raises what reading raised."""
        with closing(read.result()) as body:
            return self._sent(number, body, kept)

    def _sent(self, number: int, body: ReadFileChunk, kept: ListedPart | None) -> SentPart:
        md5 = md5_of(body)
        if kept is not None and kept == ListedPart(md5.hex(), len(body)) and self._abilities.etag_is_md5:
            return SentPart(number, md5, kept.etag)
        for _ in range(ROUNDS):
            try:
                etag = self._over_wire(number, body, md5) or self._by_boto3(number, body, md5)
            except NotTheSame as error:
                if error.name in (UPLOAD_LOST, PARTS_LIMITED):
                    raise
                continue  # the server found the damage: this part again, and not the whole file
            if confirms(etag, md5.hex()) or not self._abilities.etag_is_md5:
                return SentPart(number, md5, etag or md5.hex())
            refuse_changed_body(body, md5, str(self._place))
        damaged = NotTheSame(
            "damaged-on-the-way", f"Part {number} of {self._place} arrived as something else, {ROUNDS} times."
        )
        damaged.is_spent = True
        raise damaged

    def _over_wire(self, number: int, body: ReadFileChunk, md5: bytes) -> str | None:
        if self._means.wire is None:
            return None
        query = {"partNumber": str(number), "uploadId": self._requests.upload_id}
        answer = self._means.wire.put_part(self._place.bucket, self._place.key, query, body, md5)
        if answer is None or not 200 <= answer.status < 300:
            refuse_changed_body(body, md5, str(self._place))
            return None
        return clean_etag(answer.header("etag"))

    def _by_boto3(self, number: int, body: ReadFileChunk, md5: bytes) -> str | None:
        parameters = {
            "UploadId": self._requests.upload_id,
            "PartNumber": number,
            "Body": body,
            "ContentMD5": base64.b64encode(md5).decode(),
        }
        try:
            failures = count(1)
            return clean_etag(self._retry(lambda: self._uploaded(parameters, body, md5, failures)).get("ETag"))
        except StoreError as error:
            if number > 1 and code_of(error.__cause__ or error) in TOO_MANY_PARTS:
                raise self._requests.limited(number - 1) from error
            raise

    def _uploaded(
        self, parameters: Mapping[str, Any], body: ReadFileChunk, md5: bytes, failures: Iterator[int]
    ) -> dict[str, Any]:
        """Send a part, from its beginning. A server that lost the upload may fail each time: then the list of parts tells.

        Raises:
            NotTheSame: If the upload is lost.
            SourceChanged: If the part is another content by now.
            StoreError: If the server refuses or fails.
        """
        body.seek(0)
        try:
            return self._requests.call("upload_part", parameters)
        except StoreError as error:
            refuse_changed_body(body, md5, str(self._place))
            is_looked_at = isinstance(error, Unavailable) and next(failures) % LEAST_ATTEMPTS == 0
            if is_looked_at and self._requests.is_lost():
                raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is gone.") from error
            raise
