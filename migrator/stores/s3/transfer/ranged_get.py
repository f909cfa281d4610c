"""Large objects read in ranges, several in flight, each hashed where it arrives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from migrator.core.entities import Entry
from migrator.core.errors import Unavailable
from migrator.core.size_thresholds import SMALLEST_PART, WHOLE_UP_TO
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.curl import CurlClient
from migrator.stores.s3.http.stall import Watchdog, read_steadily
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.part_sizes import parts_in_flight
from migrator.stores.s3.transfer.object_reads import RANGE_START, ObjectAddress, get_object, is_opaque
from migrator.stores.s3.transfer.part_window import PartExecutor, PartWindow
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Chunk = tuple[memoryview, bytes | None]


class RangeReader:
    """Reads ahead by the parts that may be under way of one file. Over the wire; a range that is not answered cleanly goes by boto3.

    `part_size` is the one that the object's ETag was made with, where it is known: such parts are hashed as they arrive. `first` is the
    length of the first range, in bytes, where all shall lie elsewhere than those of another reading.
    """

    def __init__(
        self,
        client: S3Client,
        wire: CurlClient | None,
        place: ObjectAddress,
        entry: Entry,
        *,
        part_size: int | None,
        first: int | None,
        executor: PartExecutor,
        patience: RetryPolicy,
        throttle: Throttle,
    ) -> None:
        self._client = client
        self._throttle = throttle
        self._wire = wire
        self._place = place
        self._entry = entry
        self._patience = patience
        self._hashes_parts = part_size is not None and part_size <= WHOLE_UP_TO
        self.unit = part_size if part_size is not None and self._hashes_parts else SMALLEST_PART
        self._next_length = first or self.unit
        self.is_opaque = False
        self._offset = 0
        self._buffers = executor.buffers
        self._lent = memoryview(b"")
        self._window = PartWindow[Chunk](executor, parts_in_flight(entry.size))

    def skip(self, size: int) -> None:
        """Begin `size` bytes later; a whole number of parts."""
        self._offset += size

    def read(self, size: int) -> Chunk:
        """Return the next part with its digest, nothing and None at the end; the next parts are asked for meanwhile.

        The part's memory is used again from the next call on.
        """
        self._patience.go_on()
        self._buffers.give_back(self._lent)
        self._lent = memoryview(b"")
        self._ask_ahead()
        if not self._window:
            return self._lent, None
        self._lent, md5 = self._window.take()
        return self._lent, md5

    def close(self) -> None:
        """Drop the parts that are on their way."""
        self._window.close()

    def _ask_ahead(self) -> None:
        while self._offset < self._entry.size:
            length = min(self._next_length, self._entry.size - self._offset)
            if not self._window.begin(partial(self._fetch, self._offset, length), length):
                return
            self._next_length = self.unit
            self._offset += length

    def _fetch(self, start: int, length: int) -> Chunk:
        part = self._buffers.take(length)
        if not self._over_wire(start, part):
            self._patience.run(lambda: self._by_boto3(start, part))
        return part, hashlib.md5(part, usedforsecurity=False).digest() if self._hashes_parts else None

    def _over_wire(self, start: int, part: memoryview) -> bool:
        if self._wire is None:
            return False
        answer = self._wire.get_range(self._place.bucket, self._place.key, start, part, self._entry.etag)
        if answer is None or answer.status not in (200, 206):
            return False
        self.is_opaque = is_opaque(
            answer.header("x-amz-server-side-encryption"),
            answer.header("x-amz-server-side-encryption-customer-algorithm"),
        )
        match = RANGE_START.match(answer.header("content-range") or "")
        is_range = match is not None and int(match.group(1)) == start
        return is_range and clean_etag(answer.header("etag")) == self._entry.etag

    def _by_boto3(self, start: int, part: memoryview) -> None:
        answer = get_object(self._client, self._place, self._entry, f"bytes={start}-{start + len(part) - 1}")
        self.is_opaque = answer.is_opaque
        if answer.start > start:
            raise Unavailable("wrong-range", f"The server answered another range of {self._place} than was asked for.")
        filled = 0
        try:
            for _ in self._pieces(answer.body, start - answer.start):
                pass  # the range was ignored: what comes before it is read too, and left
            for piece in self._pieces(answer.body, len(part)):
                part[filled : filled + len(piece)] = piece
                filled += len(piece)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        finally:
            answer.body.close()
        if filled != len(part):
            raise Unavailable("broken-off", f"The body of {self._place} ended early.")

    def _pieces(self, body: Any, length: int) -> Iterator[bytes]:
        watchdog = Watchdog()
        while length and (piece := read_steadily(body, min(length, self._throttle.slice), watchdog)):
            self._throttle.pay(len(piece))
            length -= len(piece)
            yield piece
