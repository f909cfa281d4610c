"""Bytes' calls, made as Bytes makes them.

This writes: an object that Bytes can never take for a raw file, and a bucket where there was none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from migrator.doctor.bytes_calls import CREATE, CREATE_AGAIN, GET, PUT, WAIT, BytesCall, Replay
from migrator.stores.reserved_names import PROBE_PREFIX
from migrator.stores.s3.parsing.etags import content_md5
from migrator.stores.s3.probes.client import SECONDS, ProbeClient, ProbeResponse

_CONTENT = b"bytes-migrator looks whether Bytes can save and read here\n"
_CONTENT_MD5 = content_md5(_CONTENT)
_POLL_SECONDS = 0.25


def replay(
    asker: ProbeClient,
    bucket: str,
    name: str,
    *,
    exists: bool,
    ours: Callable[[], ProbeClient],
    meanwhile: Callable[[], None] | None = None,
) -> Replay:
    """Make Bytes' calls on a bucket and clean up after them; `asker` should be `like_bytes`. `meanwhile` runs while the bucket is there.

    `ours` opens an asker by this program's own choices: it puts an object where Bytes' way fails, so that reading is tried all the same.
    A bucket that was made here is removed again only if Bytes' calls fail in it: nobody saves there by Bytes' way then. One in which they
    work stays, for SeaweedFS removes a bucket with all that somebody may have saved in it by now.
    """
    calls = _Calls(asker, ours, bucket, f"{PROBE_PREFIX}{name}")
    is_fine = calls.make()
    if calls.made and not calls.is_denied and meanwhile is not None:
        meanwhile()
    left = () if calls.remove_object() else (f"s3://{bucket}/{calls.key}",)
    made = calls.made and not exists
    removed = made and not is_fine and not left and calls.remove_bucket()
    return Replay(
        bucket=bucket, calls=tuple(calls.answered), made=made, removed=removed, left=left, is_denied=calls.is_denied
    )


class _Calls:
    def __init__(self, asker: ProbeClient, ours: Callable[[], ProbeClient], bucket: str, key: str) -> None:
        self._asker = asker
        self._ours = ours
        self._bucket = bucket
        self.key = key
        self.answered: list[BytesCall] = []
        self.made = False
        self.is_denied = False
        self._has_put = False
        self._is_there = False

    def make(self) -> bool:
        """All of them, as far as one that failed leaves the next one a meaning; whether none did."""
        created = self._ask("create_bucket")
        self.made = self._went_well(CREATE, created)
        if not self.made and not created.status:
            return False
        waited = self._wait() if self.made else self._ask("head_bucket")
        self.is_denied = waited.status == 403 and (self.made or created.status == 409)
        if not self.made and not waited.is_fine:
            return False  # there is no bucket for what follows, or it is somebody else's
        if self._went_well(WAIT, waited):
            self._save_and_read()
            if self.made:
                self._went_well(CREATE_AGAIN, self._ask("create_bucket"))
        return all(call.is_fine for call in self.answered)

    def _save_and_read(self) -> None:
        """Put and get; where Bytes' way to put fails, this program's own puts what is read then."""
        self._has_put = True  # an answer that got lost may have been a success
        put = self._ask("put_object", Key=self.key, Body=_CONTENT)
        self._is_there = self._went_well(PUT, put)
        if put.status and not self._is_there:
            where = f"s3://{self._bucket}/{self.key}"
            by_us = {"Key": self.key, "Body": _CONTENT, "ContentMD5": _CONTENT_MD5}
            self._is_there = self._ours().ask("put_object", where, Bucket=self._bucket, **by_us).is_fine
        if self._is_there:
            self._went_well(GET, self._get())

    def remove_object(self) -> bool:
        """Whether the object is gone, or never was there."""
        if not self._has_put:
            return True
        answer = self._ask("delete_object", Key=self.key)
        return answer.is_fine or answer.status == 404 or not self._is_there

    def remove_bucket(self) -> bool:
        """Remove the bucket if nothing is in it; whether it is gone."""
        seen = self._asker.list_objects(f"s3://{self._bucket}", Bucket=self._bucket, MaxKeys=1)
        if not seen.is_fine or seen.data.get("Name") != self._bucket or seen.data.get("Contents"):
            return False
        return self._ask("delete_bucket").is_fine

    def _wait(self) -> ProbeResponse:
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._ask("head_bucket")
            if answer.status != 404 or time.monotonic() > deadline:
                return answer
            time.sleep(_POLL_SECONDS)

    def _get(self) -> ProbeResponse:
        """The object, read to its end: another content is no success."""
        return self._asker.read(f"s3://{self._bucket}/{self.key}", _CONTENT, Bucket=self._bucket, Key=self.key)

    def _ask(self, operation: str, **arguments: object) -> ProbeResponse:
        key = arguments.get("Key")
        where = f"s3://{self._bucket}" + (f"/{key}" if key else "")
        return self._asker.ask(operation, where, Bucket=self._bucket, **arguments)

    def _went_well(self, name: str, answer: ProbeResponse) -> bool:
        self.answered.append(BytesCall(name, answer.status, answer.code, answer.words))
        return answer.is_fine
