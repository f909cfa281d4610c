"""Deleting from a location on S3: many with one request, and only what is still as it was read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from migrator.checks.prune.deletion_errors import changed
from migrator.core.entities import Entry, RawFile, RawId
from migrator.core.equality import is_same_state
from migrator.core.errors import BucketMissing, StoreError
from migrator.core.outcomes import Action, Step
from migrator.core.protocols import SinkAnswer
from migrator.stores.lane_selection import looking_lane
from migrator.stores.reserved_names import PROBE_PREFIX
from migrator.stores.s3.errors.mapping import translate, translated
from migrator.stores.s3.parsing.etags import content_md5
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.transfer.object_reads import ObjectAddress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOOKED_AT_ONCE = 8
_REQUESTS_AT_ONCE = 64
_WAIT = 0.05


class S3Remover:
    """Buckets from which proven raw files are deleted, through a store that reads them."""

    def __init__(self, source: S3Source) -> None:
        self._source = source
        self._client: S3Client = source.client
        self._client.meta.events.register("before-sign.s3.DeleteObjects", _with_md5)
        self.deletes_one_by_one = False
        self._lists_at_once: set[str] = set()
        """Buckets whose listing had a mark right after it was put."""
        self._lane = looking_lane(source, largest_window=_REQUESTS_AT_ONCE)

    def close(self) -> None:
        """Close what is this remover's own: not the store."""
        if self._lane is not None:
            self._lane.close()

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Looks at each once more right before: DeleteObjects has no condition that servers are known to honour.

        One listing of the batch shows nearly all; what it does not show as it was read is looked at by itself.
        """
        left = self._not_seen_by_lane(self._not_listed(proven)) if proven else []
        with ThreadPoolExecutor(_LOOKED_AT_ONCE, thread_name_prefix="look") as pool:
            states = list(pool.map(lambda one: self._source.stat(one[0]), left))
        for (raw_file, entry), now in zip(left, states, strict=True):
            if not is_same_state(now, entry):
                yield raw_file, changed(self._source.describe(raw_file))
                return
        for bucket, group in groupby(proven, key=lambda one: self._source.place(one[0]).bucket):
            yield from self._delete(bucket, list(group))

    def _not_listed(self, proven: Sequence[tuple[RawFile, Entry]]) -> list[tuple[RawFile, Entry]]:
        """Those that a fresh listing does not show as they were read; all where the bucket's listing is known to be late."""
        left = dict(proven)
        first, last = min(left), max(left)
        is_late = self._source.bucket_of(first.organization) not in self._lists_at_once
        if is_late or first.organization != last.organization:
            return list(proven)
        with suppress(StoreError):  # looking at each tells what is wrong
            for now in self._source.listed(first, last, 2 * len(proven)):
                raw_file = RawFile(first.organization, now.raw_id)
                if raw_file in left and is_same_state(now, left[raw_file]):
                    del left[raw_file]
                if not left:
                    break  # without another page
        return list(left.items())

    def _not_seen_by_lane(self, proven: Sequence[tuple[RawFile, Entry]]) -> list[tuple[RawFile, Entry]]:
        """Those of which the fast lane did not see that they are as they were read."""
        lane = self._lane
        if lane is None:
            return list(proven)
        left: dict[RawFile, Entry] = dict(proven)
        todo = [(raw_file, Step(Action.COMPARE, entry, None)) for raw_file, entry in reversed(proven)]
        while todo or lane.under_way:
            while todo and lane.has_room:
                raw_file, step = todo.pop()
                lane.submit(raw_file, raw_file.organization, step)
            for carried in lane.carried(_WAIT):
                if isinstance(carried, SinkAnswer):
                    del left[cast("RawFile", carried.ticket)]
        return list(left.items())

    def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
        """An empty object among this tool's probes, under a name that no cache on the way to another endpoint can know."""
        mark = RawFile(raw_file.organization, RawId(f"{PROBE_PREFIX}mark-{secrets.token_hex(16)}"))
        place = self._source.place(mark)
        self._call(place, "put_object", {"Body": b"", "ContentMD5": content_md5(b"")})
        self._lists_at_once.discard(place.bucket)
        with suppress(StoreError):  # then each is looked at
            if self._source.is_listed(mark):
                self._lists_at_once.add(place.bucket)
        return mark, lambda: self._call(place, "delete_object", {})

    def remove_empty_folders(self) -> int:
        """Return 0: S3 has no folders."""
        return 0

    def _call(self, place: ObjectAddress, operation: str, parameters: dict[str, Any]) -> None:
        self._retried(
            str(place), lambda: getattr(self._client, operation)(Bucket=place.bucket, Key=place.key, **parameters)
        )

    def _retried(self, where: str, call: Callable[[], Any]) -> Any:
        def attempt() -> Any:
            with translated(where):
                return call()

        return self._source.patience.run(attempt)

    def _delete(self, bucket: str, proven: list[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Delete with one request; one by one at a server that refuses to delete many at once, remembered from then on."""
        if self.deletes_one_by_one:
            yield from self._delete_each(proven)
            return
        by_key = {self._source.place(raw_file).key: raw_file for raw_file, _ in proven}
        names: Any = {"Objects": [{"Key": key} for key in by_key], "Quiet": False}
        try:
            answer = self._retried(f"s3://{bucket}", lambda: self._client.delete_objects(Bucket=bucket, Delete=names))
        except StoreError as fault:
            if fault.temporary or isinstance(fault, BucketMissing):
                yield proven[0][0], fault
                return
            self.deletes_one_by_one = True  # what is refused as a whole deleted nothing
            yield from self._delete_each(proven)
            return
        for deleted in answer.get("Deleted", ()):
            raw_file = by_key.pop(deleted.get("Key", ""), None)
            if raw_file is not None:
                yield raw_file, None
        for failed in answer.get("Errors", ()):
            raw_file = by_key.pop(failed.get("Key", ""), None)
            if raw_file is not None:
                reason = f"the server did not delete it ({failed.get('Code', 'no code')})"
                yield raw_file, StoreError("not-deleted", f"{self._source.describe(raw_file)}: {reason}.")
        for raw_file in by_key.values():
            yield (
                raw_file,
                StoreError(
                    "not-deleted", f"The server did not say whether it deleted {self._source.describe(raw_file)}."
                ),
            )

    def _delete_each(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Look at each once more and delete it; ends at the first that is not as it was, or is not deleted."""
        for raw_file, entry in proven:
            try:
                now = self._source.stat(raw_file)
                if not is_same_state(now, entry):
                    yield raw_file, changed(self._source.describe(raw_file))
                    return
                self._call(self._source.place(raw_file), "delete_object", {})
            except StoreError as error:
                yield raw_file, error
                return
            yield raw_file, None


def _with_md5(request: Any, **_: Any) -> None:
    """Content-MD5 for the list of names: older servers ask for it, and newer boto3 sends a checksum that they do not know."""
    body = request.data
    data = body if isinstance(body, (bytes, bytearray)) else body.getvalue() if hasattr(body, "getvalue") else b""
    if data:
        request.headers["Content-MD5"] = content_md5(bytes(data))


def keeps_versions(client: S3Client, bucket: str) -> tuple[bool, bool]:
    """Whether the bucket keeps versions, and whether it is under object lock; False where the server does not say."""
    versions = locks = False
    try:
        versions = client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
    except Exception as error:
        _ignore_unknown(error, bucket)
    try:
        found = client.get_object_lock_configuration(Bucket=bucket).get("ObjectLockConfiguration", {})
        locks = found.get("ObjectLockEnabled") == "Enabled"
    except Exception as error:
        _ignore_unknown(error, bucket)
    return versions, locks


def _ignore_unknown(error: Exception, bucket: str) -> None:
    """Many servers know no such question, and many keys may not ask it."""
    fault = translate(error, f"s3://{bucket}")
    if fault.temporary:
        raise fault from error
