"""An object opened for reading: compared with its ETag at the end, or read twice where that tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from migrator.core.entities import Entry
from migrator.core.equality import EtagCheck
from migrator.core.errors import NotTheSame, StoreError, Unavailable
from migrator.core.parallel_calls import BehindThread
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.stall import Watchdog, read_steadily
from migrator.stores.s3.transfer.object_reads import Got, ObjectAddress, changed, get_object
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20


class Reader(Protocol):
    """Gives an object's bytes in order."""

    is_opaque: bool
    unit: int
    """Reading can begin at multiples of this; 0 where it cannot."""

    def skip(self, size: int) -> None:
        """Leave out the next bytes, whole units, before the first `read`."""
        ...

    def read(self, size: int) -> tuple[bytes | memoryview, bytes | None]:
        """The next bytes, at most `size` unless they come as a whole part with its MD5; none at the end. Good until the next call.

        Raises StoreError.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class S3Content:
    """An object opened for reading, compared with its ETag at the end.

    `make_reader` begins at the first byte each time; told that it is a second reading, it asks for other ranges than the first one.
    """

    def __init__(self, place: ObjectAddress, entry: Entry, make_reader: Callable[[EtagCheck, bool], Reader]) -> None:
        self._place = place
        self._make_reader = make_reader
        self.entry = entry
        self.source_version = f"{entry.size} {entry.etag}"
        self._check = EtagCheck(entry.etag, entry.size)
        self._reader = make_reader(self._check, False)
        self._left = memoryview(b"")
        self._hashing = BehindThread("hash")

    @property
    def resume_unit(self) -> int:
        """Return the size of a part of the reader in bytes, 0 for an object that is read in one request."""
        return self._reader.unit

    def resume_with(self, data: bytes) -> None:
        """Take bytes that an earlier run read: they are hashed, and not asked for again."""
        self._update(self._check, data, None)
        self._reader.skip(len(data))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        pieces: list[bytes] = []
        while size and (piece := self.borrow(size)):
            pieces.append(bytes(piece))
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def borrow(self, size: int) -> memoryview:
        """Return up to `size` bytes of what has come, without a copy; the next call of any method takes them back."""
        if not self._left:
            self._left = memoryview(self._take(self._reader, self._check, size))
        lent, self._left = self._left[:size], self._left[size:]
        return lent

    def part(self, size: int) -> None:
        """Only `read` gives an object's bytes."""

    def finish(self) -> None:
        """Prove that what was read is the object.

        Raises:
            NotTheSame: If its digest is not the ETag's, or two readings differ where the ETag is no digest.
        """
        self._hashing.wait()
        matches = self._check.matches()
        if matches is False and not self._reader.is_opaque:
            raise NotTheSame("wrong-digest", f"What was read of {self._place} is not what its ETag says.")
        if matches is not True and self._read_again() != self._check.fingerprint:
            raise NotTheSame("unsteady-content", f"Two readings of {self._place} differ.")

    def close(self) -> None:
        """Close the reader and the thread that hashes."""
        self._reader.close()
        self._hashing.close()

    def _take(self, reader: Reader, check: EtagCheck, size: int) -> bytes | memoryview:
        self._hashing.wait()  # reading fills the memory again in which the part before is hashed
        data, md5 = reader.read(size)
        self._update(check, data, md5)
        return data

    def _update(self, check: EtagCheck, data: bytes | memoryview, md5: bytes | None) -> None:
        """Parts of large objects are hashed beside what is done with them; small objects are over too soon for that."""
        if self._reader.unit and md5 is None:
            self._hashing.submit(check.update, data)
        else:
            self._hashing.wait()  # parts that an earlier run wrote are hashed there, and come first
            check.update(data, md5)

    def _read_again(self) -> str:
        """Where no digest tells: the fingerprint of a second reading, by other requests: what damages an answer may do so each time."""
        self._reader.close()
        check = EtagCheck(self.entry.etag, self.entry.size)
        self._reader = self._make_reader(check, True)
        while self._take(self._reader, check, _CHUNK):
            pass
        self._hashing.wait()
        return check.fingerprint


class BodyReader:
    """One GET by boto3; goes on by range where its body breaks off."""

    unit = 0

    def __init__(
        self, client: S3Client, place: ObjectAddress, entry: Entry, patience: RetryPolicy, throttle: Throttle
    ) -> None:
        self._client = client
        self._throttle = throttle
        self._place = place
        self._entry = entry
        self._retry = patience.run
        self._breaks = patience.attempts()
        self._position = 0
        self.is_opaque = False
        self._watchdog = Watchdog()
        self._body = self._retry(lambda: self._open_at(0))

    def skip(self, size: int) -> None:
        """Refuse: small objects are read whole.

        Raises:
            NotImplementedError: Always; `unit` is 0.
        """
        raise NotImplementedError("small objects are read whole")

    def read(self, size: int) -> tuple[bytes, bytes | None]:
        """Return at most `size` bytes of the body, asked for again from where it broke off; (b"", None) at the end."""
        while self._position < self._entry.size:
            chunk = self._read_some(size)
            self._position += len(chunk)
            if chunk:
                return chunk, None
        return b"", None

    def close(self) -> None:
        """Close the body, which gives its connection back or drops it."""
        self._body.close()

    def _read_some(self, size: int) -> bytes:
        try:
            chunk = read_steadily(self._body, min(size, self._throttle.slice), self._watchdog)
            self._throttle.pay(len(chunk))
        except Exception as error:
            self._reopen(translate(error, str(self._place)))
            return b""
        if not chunk:
            self._reopen(Unavailable("broken-off", f"The body of {self._place} ended early."))
        return chunk

    def _reopen(self, reason: StoreError) -> None:
        if not isinstance(reason, Unavailable):
            raise reason
        self._breaks.failed(reason)
        self._body.close()
        self._watchdog = Watchdog()
        self._body = self._retry(lambda: self._open_at(self._position))

    def _open_at(self, offset: int) -> Any:
        answer = get_object(self._client, self._place, self._entry, f"bytes={offset}-" if offset else None)
        self.is_opaque = answer.is_opaque
        if not offset and answer.length != self._entry.size:
            raise changed(self._place)
        return self._at_offset(answer, offset)

    def _at_offset(self, answer: Got, offset: int) -> Any:
        """Return the body from `offset` on, also where the server ignored the range.

        Raises:
            Unavailable: If the server answered another range.
            StoreError: If the body breaks off.
        """  # noqa: DOC501 made by translate
        left = offset - answer.start
        if left < 0:
            raise Unavailable("wrong-range", f"The server answered another range of {self._place} than was asked for.")
        try:
            while left and (skipped := read_steadily(answer.body, min(left, _CHUNK), self._watchdog)):
                left -= len(skipped)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        return answer.body
