"""Completing an upload: on condition that the name is free, and looked at until it is seen, for answers get lost and objects show late."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any

from migrator.core.entities import Entry
from migrator.core.equality import EtagCheck, confirms, etag_of_parts
from migrator.core.errors import AlreadyThere, NotTheSame, StoreError, Unavailable, Vanished
from migrator.stores.s3.errors.error_fields import code_of, tries_before
from migrator.stores.s3.errors.mapping import is_unsupported
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.transfer.conditional_put import Condition
from migrator.stores.s3.transfer.object_reads import head, head_or_get
from migrator.stores.s3.transfer.part_sender import SentPart
from migrator.stores.s3.transfer.ranged_get import RangeReader
from migrator.stores.s3.transfer.upload_requests import TOO_MANY_PARTS, UPLOAD_LOST, UploadRequests

_SECONDS_IF_LOST = 10.0
"""How long to look for the object of an upload that the server does not know: a proxy may have repeated the request that completed it."""
_USUAL_LIMIT = 1_000
"""Of servers that take fewer than 10,000 parts (Scaleway)."""


class UploadCompletion:
    """Completes one upload.

    `goes_on`: an earlier run may have completed it already. `is_left`: it is left over, for somebody else's object took the name.
    `may_be_completing`: the server was told to, and may still be at it.
    """

    def __init__(self, requests: UploadRequests) -> None:
        self._requests = requests
        self._means = requests.means
        self._abilities = requests.abilities
        self._retry = requests.retry
        self._place = requests.place
        self._client = requests.client
        self._raw_id = requests.raw_id
        self._expected = ""
        self._tries = 0
        self._is_lost_surely = False
        self.goes_on = False
        self.is_left = False
        self.may_be_completing = False

    def is_of_no_use(self) -> bool:
        """Whether the upload surely did not become the object under its name, and may be aborted. Raises StoreError."""
        was_perhaps_completed = self._expected and (self._tries or self.goes_on)
        return not was_perhaps_completed or self._is_not_there()

    def complete(self, sent: list[SentPart], size: int, part_size: int, condition: Condition) -> str:
        """Complete from `sent` and prove what is at the name then; return its ETag.

        Raises:
            AlreadyThere: If the name is taken.
            NotTheSame: If the upload is lost, or something else came of it.
            StoreError: If the server refuses or fails.
            Unavailable: If the server does not answer.
        """
        parts = [{"PartNumber": part.number, "ETag": quoted(part.etag)} for part in sent]
        parameters = {
            "UploadId": self._requests.upload_id,
            "MultipartUpload": {"Parts": parts},
            **condition.headers(self._abilities),
        }
        expected = self._expected = etag_of_parts([part.md5 for part in sent])
        # An upload takes minutes, and servers that honour a condition on a PUT ignore it here (moto), or may under load.
        condition.check(self._requests.found(), self._place)
        try:
            answered = self._retry(lambda: self._completed(parameters, condition))
        except Unavailable:
            if not self._requests.is_lost():
                raise  # the upload is still there, and the next try goes on with it
            answered = None
        found = self._seen_at_last()
        if confirms(found.etag, expected) and found.size == size:
            return expected
        if answered is None:  # refused, or the answer got lost: what is there may be anybody's
            raise AlreadyThere("already-there", f"{self._place} appeared meanwhile.")
        if found.size != size or (self._abilities.etag_is_md5 and not confirms(answered, expected)):
            raise NotTheSame("damaged-at-target", f"{self._place} was completed, and is not what was sent.")
        if not (
            self._abilities.etag_is_md5 or self._abilities.checks_md5 or self._read_back(found, part_size) == expected
        ):
            raise NotTheSame("damaged-at-target", f"{self._place} was completed, and holds other bytes than were sent.")
        return found.etag or ""

    def _seen_at_last(self) -> Entry:
        """Return what is at the name once it is seen: completing can take minutes, and HEAD can be behind.

        Raises:
            NotTheSame: If the upload is surely lost.
            StoreError: If nothing is seen: nothing is aborted or sent again then, for the server may still be at it.
        """
        inspect = partial(head_or_get, self._client, self._place, self._raw_id)
        found = self._means.patience.until(inspect, at_most=_SECONDS_IF_LOST if self._is_lost_surely else None)
        if found is not None:
            self.may_be_completing = False
            return found
        if self._is_lost_surely:
            self.may_be_completing = False
            raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is gone.")
        raise StoreError(
            "completed-not-seen",
            f"The server was asked to complete {self._place}, and shows nothing there.",
            why="It may still be working: nothing was aborted.",
            cure="Rerun later: what is complete by then counts, and the rest resumes.",
        )

    def _read_back(self, found: Entry, part_size: int) -> str:
        """The ETag that the parts of what is at the name would give; for servers that neither check nor tell an MD5."""
        check = EtagCheck(found.etag, found.size, part_size)
        reader = RangeReader(
            self._client,
            self._means.wire,
            self._place,
            found,
            part_size=part_size,
            first=None,
            executor=self._means.executor,
            patience=self._means.patience,
            throttle=self._means.throttle,
        )
        with closing(reader):
            while (read := reader.read(part_size))[0]:
                check.update(*read)
        return check.fingerprint

    def _completed(self, parameters: dict[str, Any], condition: Condition) -> str | None:
        """Complete; return the ETag, None where the object has to tell: the answer got lost, or the name was taken.

        Raises:
            Unavailable: If the server does not answer.
            StoreError: If the server refuses at the first try.
        """
        self._tries += 1
        self.may_be_completing = True
        try:
            return clean_etag(self._requests.call("complete_multipart_upload", parameters).get("ETag"))
        except Unavailable:
            raise
        except AlreadyThere as error:
            # Somebody else's object took the name, surely if no request of ours can have been executed before: then ours is left over.
            self.is_left = self._is_first_try(error)
            self.may_be_completing = not self.is_left
            return None
        except StoreError as error:
            conditional = [name for name in ("IfNoneMatch", "IfMatch") if name in parameters]
            if conditional and is_unsupported(error):
                for name in conditional:
                    del parameters[name]
                condition.check(self._requests.found(), self._place)
                return self._completed(parameters, condition)
            if isinstance(error, Vanished) or code_of(error.__cause__ or error) == "NoSuchUpload":
                self._is_lost_surely = self._is_first_try(error)
                return None
            if self._is_first_try(error):
                self.may_be_completing = False
                sent = len(parameters["MultipartUpload"]["Parts"])
                if sent > 1 and code_of(error.__cause__ or error) in TOO_MANY_PARTS:
                    raise self._requests.limited(_USUAL_LIMIT if sent > _USUAL_LIMIT else sent // 2) from error
                raise
            return None  # an earlier request may have completed it, after which this one makes no sense to the server

    def _is_first_try(self, error: StoreError) -> bool:
        """Whether no request before the one that failed can have completed the upload."""
        return self._tries == 1 and not self.goes_on and not tries_before(error.__cause__)

    def _is_not_there(self) -> bool:
        """Whether what is under the name, if anything, cannot be what this upload completed."""
        found = head(self._client, self._place, self._raw_id)
        return found is None or (self._abilities.etag_is_md5 and not confirms(found.etag, self._expected))
