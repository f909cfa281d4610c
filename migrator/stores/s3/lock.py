"""A bucket that is held by a mark: an object that every other run sees, whatever its endpoint, host or state folder.

The mark lies under two names. The first is the same for all runs and created with ``If-None-Match: *``: where the server honours that,
one run wins at once, even if listings are stale. The second is the run's own: it is listed after it was written, so that of two runs at
least one sees the other, also where the condition is ignored (`rclone serve s3`) or the other run came by another gateway. The run with
the lower name waits until the other one has withdrawn; the other one withdraws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    CannotStart,
    MigratorError,
    StoreError,
    Vanished,
)
from migrator.stores.lock_mark import LockMark, first_of, read_mark
from migrator.stores.reserved_names import LOCK_PREFIX
from migrator.stores.s3.errors.mapping import translated
from migrator.stores.s3.listing.pages import Lister
from migrator.stores.s3.parsing.etags import content_md5

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Retry = Callable[[Callable[[], Any]], Any]
DOOR = f"{LOCK_PREFIX}held"
_LARGEST_MARK = 4_096
_POLLS = 40
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """A mark and the key that it lies under."""

    key: str
    mark: LockMark


class BucketLock:
    """The mark of one run in one bucket. `pause` is called with seconds between two looks. Every method raises StoreError."""

    def __init__(
        self, client: S3Client, bucket: str, mark: LockMark, *, retry: Retry, pause: Callable[[float], object]
    ) -> None:
        self.bucket = bucket
        self._client, self._mark, self._retry, self._pause = client, mark, retry, pause
        self._own = f"{LOCK_PREFIX}{mark.run}"

    @property
    def where(self) -> str:
        """Return the bucket's URL."""
        return f"s3://{self.bucket}"

    def take(self) -> LockMark | None:
        """Hold the bucket; return None when it is held, else the mark of the run that holds it.

        Raises:
            CannotStart: If these credentials may not write the mark.
            StoreError: If the server refuses otherwise, or does not answer.
        """  # noqa: DOC501 made by _not_lockable
        other = first_of([found.mark for found in marks_in(self._client, self.bucket, self._retry)], but=self._mark.run)
        if other is not None:
            return other
        try:
            other = self._pass_door() or self._write_and_wait()
        except AccessDenied as error:
            self.release()
            raise _not_lockable(self.where, error.what) from error
        except BaseException:
            self.release()
            raise
        if other is not None:
            self.release()
        return other

    def is_held(self) -> bool:
        """Whether the run's own mark is still there."""
        return self._read(self._own) is not None

    def release(self) -> None:
        """Remove the run's own mark; the other's stays. An error leaves it there, and the next run reports it."""
        with suppress(MigratorError):
            if self._is_ours(DOOR):
                self._delete(DOOR)
            self._delete(self._own)

    def _pass_door(self) -> LockMark | None:
        """Create the mark that is the same for all runs; return the mark of the run that has it, None if it is ours.

        Raises:
            AccessDenied: If it may not be written.
            BucketMissing: If the bucket is gone.
            StoreError: If the server fails for now; one that does not know the condition is no error.
        """
        try:
            self._retry(lambda: self._put(DOOR, IfNoneMatch="*"))
        except AlreadyThere:
            found = self._read(DOOR)
            return found if found is not None and found.run != self._mark.run else None
        except (AccessDenied, BucketMissing):
            raise
        except StoreError as error:
            if error.temporary:
                raise  # otherwise: a server that does not know the condition
        return None

    def _write_and_wait(self) -> LockMark | None:
        self._retry(lambda: self._put(self._own))
        other: LockMark | None = None
        for poll in range(_POLLS):
            if poll:
                self._pause(POLL_SECONDS)
            found = marks_in(self._client, self.bucket, self._retry)
            if not any(one.key == self._own for one in found):
                raise _not_lockable(self.where, f"The listing does not show {self._own}, which was written just now.")
            other = first_of([one.mark for one in found], but=self._mark.run)
            if other is None or other.run < self._mark.run:
                return other
        return other

    def _is_ours(self, key: str) -> bool:
        found = self._read(key)
        return found is not None and found.run == self._mark.run

    def _read(self, key: str) -> LockMark | None:
        return read_object(self._client, self.bucket, key, self._retry)

    def _put(self, key: str, **condition: Any) -> None:
        body = self._mark.as_bytes()
        with translated(f"{self.where}/{key}"):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentMD5=content_md5(body), **condition)

    def _delete(self, key: str) -> None:
        _delete(self._client, self.bucket, key, self._retry)


def marks_in(client: S3Client, bucket: str, retry: Retry) -> list[FoundLock]:
    """Return the marks in a bucket, of all runs; none where the bucket does not exist. Raises StoreError."""
    return list(_marks_in(client, bucket, retry))


def remove_marks(client: S3Client, bucket: str, run: str, retry: Retry) -> int:
    """Remove the marks of a run; returns how many there were. Raises StoreError."""
    found = [one.key for one in _marks_in(client, bucket, retry) if one.mark.run == run]
    for key in found:
        _delete(client, bucket, key, retry)
    return len(found)


def _marks_in(client: S3Client, bucket: str, retry: Retry) -> Iterator[FoundLock]:
    try:
        for listed in Lister(client, retry).objects(bucket, LOCK_PREFIX):
            mark = read_object(client, bucket, listed.key, retry)
            if mark is not None:
                yield FoundLock(key=listed.key, mark=mark)
    except BucketMissing:
        return


def read_object(client: S3Client, bucket: str, key: str, retry: Retry) -> LockMark | None:
    """Return the mark under a key; None where there is no object. Raises StoreError."""

    def read() -> bytes:
        with translated(f"s3://{bucket}/{key}"):
            return client.get_object(Bucket=bucket, Key=key)["Body"].read(_LARGEST_MARK)

    try:
        content: bytes = retry(read)
    except (Vanished, BucketMissing):
        return None
    return read_mark(content, key.removeprefix(LOCK_PREFIX))


def _delete(client: S3Client, bucket: str, key: str, retry: Retry) -> None:
    def delete() -> None:
        with translated(f"s3://{bucket}/{key}"):
            client.delete_object(Bucket=bucket, Key=key)

    retry(delete)


def _not_lockable(where: str, what: str) -> CannotStart:
    return CannotStart(
        "place-not-lockable",
        f"No mark can be kept in {where}: {what}",
        why="Without it, a second prune could delete the other copy.",
        cure="Allow what `bytes-migrator iam-policy --for prune` prints with the same --from and --to. Nothing was deleted.",
    )
