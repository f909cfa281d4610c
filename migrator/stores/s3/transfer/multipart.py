"""Large objects in parts: each part proven by its MD5, the whole by the ETag that its parts must give."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from migrator.core.entities import Entry, RawFile, UnfinishedUpload
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    MustStop,
    NotTheSame,
    SourceChanged,
    StoreError,
    Unavailable,
    Vanished,
)
from migrator.core.protocols import Content, Moved, ignore_moved
from migrator.stores.s3.errors.error_fields import code_of
from migrator.stores.s3.errors.mapping import is_unsupported
from migrator.stores.s3.part_sizes import LARGEST_PART, part_size_for
from migrator.stores.s3.transfer.conditional_put import Condition
from migrator.stores.s3.transfer.object_reads import ObjectAddress
from migrator.stores.s3.transfer.part_sender import PartSender, SentPart
from migrator.stores.s3.transfer.unfinished_uploads import ListedPart, list_parts, lost_uploads
from migrator.stores.s3.transfer.upload_completion import UploadCompletion
from migrator.stores.s3.transfer.upload_requests import COPY_UNPROVEN, LOST, UPLOAD_LOST, UploadContext, UploadRequests


class MultipartUpload:
    """One raw file's multipart upload: begun or gone on with, completed or left for the next run, aborted only if it is of no use."""

    def __init__(self, means: UploadContext, place: ObjectAddress, raw_file: RawFile) -> None:
        self._requests = UploadRequests(means, place, raw_file.raw_id)
        self._raw_file = raw_file
        self._completion = UploadCompletion(self._requests)
        self._journal = means.journal
        self._client = means.client
        self._abilities = means.abilities
        self._retry = means.patience.run
        self._place = place
        self._upload: UnfinishedUpload | None = None

    def send(self, content: Content, condition: Condition) -> str:
        """Send what is not there yet and complete; return the ETag.

        Raises:
            AlreadyThere: If the name is taken; nothing changed there.
            StoreError: If the server takes too few parts for this size, refuses, or fails.
        """
        part_size = part_size_for(content.entry.size, self._abilities.most_parts)
        if part_size > LARGEST_PART:
            raise StoreError(
                "parts-limited",
                f"The server takes {self._abilities.most_parts} parts of {self._place}, which would be larger than 1 GiB.",
                why="Several parts are in memory at once.",
                cure="Raise the server's limit on parts, or copy this file with another tool.",
            )

        def send_parts(kept: dict[int, ListedPart]) -> list[SentPart]:
            sent = PartSender(self._requests).send_all(content, part_size, kept)
            content.finish()
            return sent

        return self._carry(content.source_version, content.entry.size, part_size, condition, send_parts)

    def copy(self, origin: ObjectAddress, entry: Entry, part_size: int, moved: Moved = ignore_moved) -> str:
        """As `send`, but the server copies the parts itself from `origin`, while that still has the listed ETag."""
        source_version = f"copy {entry.size} {entry.etag}"
        return self._carry(
            source_version,
            entry.size,
            part_size,
            Condition(),
            lambda kept: PartSender(self._requests).copy_all(origin, entry, part_size, kept, moved),
        )

    def _carry(
        self,
        source_version: str,
        size: int,
        part_size: int,
        condition: Condition,
        bring: Callable[[dict[int, ListedPart]], list[SentPart]],
    ) -> str:
        """Go on with an upload or begin one, `bring` its parts, and complete it; return the ETag.

        `bring` gets what is there already and answers all parts. An upload that nobody can go on with is aborted.

        Raises:
            AlreadyThere: If the name is taken.
            NotTheSame: If the upload is lost, or its result is not the content.
            SourceChanged: If the source changed meanwhile.
            StoreError: If the server refuses or fails; the upload stays for the next run.
        """
        condition.check(self._requests.found(), self._place)
        kept = self._go_on(source_version, part_size)
        if self._upload is None:
            self._take(self._begin(source_version, part_size))
        try:
            sent = bring(kept)
            etag = self._completion.complete(sent, size, part_size, condition)
        except (AlreadyThere, NotTheSame, SourceChanged):
            self._abort()
            raise
        except StoreError as error:
            if code_of(error.__cause__ or error) in LOST:
                self._abort()
                raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is gone.") from error
            if self._journal is None or isinstance(error, Vanished) or error.name == COPY_UNPROVEN:
                self._abort()  # nobody will go on with it
            raise
        if self._completion.is_left:
            with suppress(StoreError, MustStop):
                self._retry(self._give_back)
        self._forget()
        return etag

    def _go_on(self, source_version: str, part_size: int) -> dict[int, ListedPart]:
        """What an earlier run sent of the same content. What it sent of another one is aborted, and nothing is kept."""
        known = self._journal.unfinished(self._raw_file) if self._journal else None
        if known is None:
            return {}
        same_place = (known.bucket, known.key) == (self._place.bucket, self._place.key)
        if not known.upload_id:
            if same_place:
                self._give_up_lost(known)
            return {}
        self._take(known)
        if same_place:
            parts = self._listed(known)
            if parts is not None and known.source_version == source_version and known.part_size == part_size:
                self._completion.goes_on = True
                return parts
            if parts is None:
                self._forget()  # it became an object or was aborted: there is nothing to abort
            else:
                self._abort()
        self._take(None)
        return {}

    def _take(self, upload: UnfinishedUpload | None) -> None:
        self._upload = upload
        self._requests.upload_id = upload.upload_id if upload is not None else ""

    def _listed(self, known: UnfinishedUpload) -> dict[int, ListedPart] | None:
        """Return the parts of an earlier run's upload, None if it is gone, {} if the server does not list parts.

        Raises:
            StoreError: If the server fails for another reason.
        """
        try:
            return self._retry(lambda: list_parts(self._client, self._place, known.upload_id))
        except StoreError as error:
            if isinstance(error, AccessDenied) or is_unsupported(error):
                return {}
            raise

    def _begin(self, source_version: str, part_size: int) -> UnfinishedUpload:
        """Begin: have the intent written down before the server is asked, and the id before the first part is sent.

        Raises:
            Unavailable: If the answer has no id.
        """
        intent = UnfinishedUpload(
            *self._raw_file, self._place.bucket, self._place.key, "", part_size, source_version, time.time()
        )
        self._write_down(intent)
        requests = 0

        def ask() -> dict[str, Any]:
            nonlocal requests
            requests += 1
            return self._requests.call("create_multipart_upload", {})

        answer = self._retry(ask)
        upload_id = answer.get("UploadId")
        if not upload_id:
            raise Unavailable("broken-answer", f"The server began an upload of {self._place} and did not say which.")
        upload = intent._replace(upload_id=str(upload_id))
        if requests > 1 or answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            self._give_up_lost(intent, but=upload.upload_id)  # an answer that got lost was perhaps another upload's
        self._write_down(upload)
        return upload

    def _write_down(self, upload: UnfinishedUpload) -> None:
        if self._journal is not None:
            self._journal.began(upload)

    def _give_up_lost(self, intent: UnfinishedUpload, but: str = "") -> None:
        with suppress(StoreError):  # it costs an entry in a list, and not everybody may look
            for upload in lost_uploads(self._client, intent, self._retry):
                if upload.upload_id != but:
                    self._requests.call("abort_multipart_upload", {"UploadId": upload.upload_id})

    def _forget(self) -> None:
        if self._journal is not None and self._upload is not None:
            self._journal.ended(self._upload)

    def _give_back(self) -> None:
        self._requests.call("abort_multipart_upload", {"UploadId": self._requests.upload_id})

    def _abort(self) -> None:
        """Give the parts back; only ever our own upload, which did not become an object.

        SeaweedFS destroys an object whose leftover upload id is aborted after completion (its issue 10663): hence the look first.
        """
        if self._completion.may_be_completing:
            return
        with suppress(StoreError, MustStop):
            if self._completion.is_of_no_use():
                self._retry(self._give_back)
            self._forget()
