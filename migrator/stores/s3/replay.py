"""Bytes' calls, made as Bytes makes them.

This writes: an object that Bytes can never take for a raw file, and a bucket where there was none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from migrator.doctor.calls import CREATE, CREATE_AGAIN, GET, PUT, WAIT, Call, Replay
from migrator.stores.s3.asking import SECONDS, Answer, Asker
from migrator.stores.strays import PROBE_PREFIX

_CONTENT = b"bytes-migrator looks whether Bytes can save and read here\n"
_LOOKS_EVERY = 0.25


def replay(
    asker: Asker, bucket: str, name: str, *, exists: bool, meanwhile: Callable[[], None] | None = None
) -> Replay:
    """Make Bytes' calls on a bucket and clean up after them; `asker` should be `like_bytes`. `meanwhile` runs while the bucket is there.

    A bucket that was made here is removed again only if Bytes' calls fail in it: nobody saves there by Bytes' way then. One in which they
    work stays, for SeaweedFS removes a bucket with all that somebody may have saved in it by now.
    """
    calls = _Calls(asker, bucket, f"{PROBE_PREFIX}{name}")
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
    def __init__(self, asker: Asker, bucket: str, key: str) -> None:
        self._asker = asker
        self._bucket = bucket
        self.key = key
        self.answered: list[Call] = []
        self.made = False
        self.is_denied = False
        self._has_put = False

    def make(self) -> bool:
        """Up to the first that fails; whether none did."""
        self.made = self._went_well(CREATE, self._ask("create_bucket"))
        if not self.made:
            self.is_denied = self.answered[-1].status == 409 and self._ask("head_bucket").status == 403
            return False
        waited = self._wait()
        self.is_denied = waited.status == 403  # behind a proxy that answers 200 for every bucket that exists
        if not self._went_well(WAIT, waited):
            return False
        self._has_put = True  # an answer that got lost may have been a success
        if not self._went_well(PUT, self._ask("put_object", Key=self.key, Body=_CONTENT)):
            return False
        return self._went_well(GET, self._get()) and self._went_well(CREATE_AGAIN, self._ask("create_bucket"))

    def remove_object(self) -> bool:
        """Whether the object is gone, or never was there."""
        if not self._has_put:
            return True
        answer = self._ask("delete_object", Key=self.key)
        return answer.is_fine or answer.status == 404 or self.answered[-1].name == PUT

    def remove_bucket(self) -> bool:
        """Remove the bucket if nothing is in it; whether it is gone."""
        seen = self._asker.list_objects(f"s3://{self._bucket}", Bucket=self._bucket, MaxKeys=1)
        if not seen.is_fine or seen.data.get("Name") != self._bucket or seen.data.get("Contents"):
            return False
        return self._ask("delete_bucket").is_fine

    def _wait(self) -> Answer:
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._ask("head_bucket")
            if answer.status != 404 or time.monotonic() > deadline:
                return answer
            time.sleep(_LOOKS_EVERY)

    def _get(self) -> Answer:
        """The object, read to its end: another content is no success."""
        return self._asker.read(f"s3://{self._bucket}/{self.key}", _CONTENT, Bucket=self._bucket, Key=self.key)

    def _ask(self, operation: str, **arguments: object) -> Answer:
        key = arguments.get("Key")
        where = f"s3://{self._bucket}" + (f"/{key}" if key else "")
        return self._asker.ask(operation, where, Bucket=self._bucket, **arguments)

    def _went_well(self, name: str, answer: Answer) -> bool:
        self.answered.append(Call(name, answer.status, answer.code, answer.words))
        return answer.is_fine
