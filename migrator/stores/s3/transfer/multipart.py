"""Large objects in parts: each part proven by its MD5, the whole by the ETag that its parts must give."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from s3transfer.utils import ReadFileChunk

from migrator.core.entities import Entry, RawFile, UnfinishedUpload
from migrator.core.equality import EtagCheck, confirms, etag_of_parts, is_plain_md5
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    MustStop,
    NotTheSame,
    SourceChanged,
    StoreError,
    Unavailable,
    Vanished,
)
from migrator.core.protocols import Content, Moved, UploadJournal, ignore_moved
from migrator.core.size_classes import WHOLE_UP_TO
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.errors.mapping import code_of, is_unsupported, translate, tries_before
from migrator.stores.s3.http.curl import CurlClient
from migrator.stores.s3.http.stall import SendingWatch
from migrator.stores.s3.listing.pages import Retry
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.part_sizes import LARGEST_PART, part_size_for, parts_in_flight
from migrator.stores.s3.transfer.part_window import PARTS_IN_MEMORY, PartExecutor, PartWindow
from migrator.stores.s3.transfer.ranged_get import RangeReader
from migrator.stores.s3.transfer.single import Condition, ObjectAddress, head, head_or_get
from migrator.transfer.retry import LEAST_ATTEMPTS, ROUNDS, RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20
_CLOCKS_APART = 900.0
"""Seconds by which the server's clock may differ: with more, it refuses every signature."""

_SECONDS_IF_LOST = 10.0
"""How long to look for the object of an upload that the server does not know: a proxy may have repeated the request that completed it."""
UPLOAD_LOST = "upload-lost"
COPY_UNPROVEN = "copy-unproven"
PARTS_LIMITED = "parts-limited"
_TOO_MANY_PARTS = ("InvalidArgument", "InvalidPartNumber", "TooManyParts", "MaxPartsExceeded", "LimitExceeded")
"""How servers refuse a part's number, or the number of parts, where parts before it were taken. AWS: InvalidArgument."""
_USUAL_LIMIT = 1_000
"""Of servers that take fewer than 10,000 parts (Scaleway)."""
_LOST = ("NoSuchUpload", "NotImplemented")
"""Somebody aborted the upload, or the server does not let a part be sent again (`rclone serve s3`): it has to begin anew."""


class _SentPart(NamedTuple):
    """A part that arrived: its digest, and the ETag that the server gave it."""

    number: int
    md5: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class _Body:
    """What a part is sent from: bytes in memory, or s3transfer's chunk of a file on disk, which is read as it is sent."""

    data: bytes | ReadFileChunk

    def __len__(self) -> int:
        return len(self.data)

    def md5(self) -> bytes:
        """Return the digest; a chunk is read once for it, and rewound. Raises StoreError."""
        if isinstance(self.data, bytes):
            return hashlib.md5(self.data, usedforsecurity=False).digest()
        digest = hashlib.md5(usedforsecurity=False)
        self.data.disable_callback()
        for piece in iter(partial(self.data.read, _CHUNK), b""):
            digest.update(piece)
        self.data.seek(0)
        self.data.enable_callback()
        return digest.digest()

    def rewind(self) -> None:
        """Have the chunk read from its beginning again."""
        if not isinstance(self.data, bytes):
            self.data.seek(0)

    def close(self) -> None:
        """Close the chunk's own descriptor."""
        if not isinstance(self.data, bytes):
            self.data.close()


def _next_part(content: Content, size: int) -> _Body:
    """Read the next `size` bytes; parts over 16 MiB stay on disk where they are on one.

    Raises:
        SourceChanged: If the content ends early.
    """
    part = content.part(size) if size > WHOLE_UP_TO else None
    if part is not None:
        begin = part.tell()
        return _Body(ReadFileChunk(part, size, begin + size, callbacks=[SendingWatch()]))
    data = content.read(size)
    if len(data) < size:
        raise SourceChanged("source-changed", f"{content.entry.raw_id} ended early while it was read.")
    return _Body(data)


class _Range(NamedTuple):
    """A part of an object that is copied."""

    number: int
    begin: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadContext:
    """What uploads are made with. `journal` None: nothing is written down, and nothing can go on.

    `limit_parts` is told how many parts the server takes, where it refuses more.
    """

    client: S3Client
    wire: CurlClient | None
    abilities: Capabilities
    executor: PartExecutor
    patience: RetryPolicy
    journal: UploadJournal | None
    throttle: Throttle
    limit_parts: Callable[[int], None]


class MultipartUpload:
    """One raw file's multipart upload: begun or gone on with, completed or left for the next run, aborted only if it is of no use."""

    def __init__(self, means: UploadContext, place: ObjectAddress, raw_file: RawFile) -> None:
        self._means = means
        self._client = means.client
        self._wire = means.wire
        self._abilities = means.abilities
        self._retry = means.patience.run
        self._place = place
        self._raw_file = raw_file
        self._raw_id = raw_file.raw_id
        self._expected = ""
        self._upload: UnfinishedUpload | None = None
        self._goes_on = False
        self._completions = 0
        self._is_left = False
        self._may_be_completing = False
        self._is_lost_surely = False

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
                why="Some parts are in this machine's memory at once.",
                cure="Raise the server's limit on the number of parts, or copy this file with a tool that sends it whole.",
            )

        def send_parts(kept: dict[int, ListedPart]) -> list[_SentPart]:
            sent = self._send_parts(content, part_size, kept)
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
            lambda kept: self._copy_parts(origin, entry, part_size, kept, moved),
        )

    def _carry(
        self,
        source_version: str,
        size: int,
        part_size: int,
        condition: Condition,
        bring: Callable[[dict[int, ListedPart]], list[_SentPart]],
    ) -> str:
        """Go on with an upload or begin one, `bring` its parts, and complete it; return the ETag.

        `bring` gets what is there already and answers all parts. An upload that nobody can go on with is aborted.

        Raises:
            AlreadyThere: If the name is taken.
            NotTheSame: If the upload is lost, or its result is not the content.
            SourceChanged: If the source changed meanwhile.
            StoreError: If the server refuses or fails; the upload stays for the next run.
        """
        condition.check(self._found(), self._place)
        kept = self._go_on(source_version, part_size)
        if self._upload is None:
            self._upload = self._begin(source_version, part_size)
        try:
            sent = bring(kept)
            etag = self._complete(sent, size, condition)
        except (AlreadyThere, NotTheSame, SourceChanged):
            self._abort()
            raise
        except StoreError as error:
            if code_of(error.__cause__ or error) in _LOST:
                self._abort()
                raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is not there any more.") from error
            if self._means.journal is None or isinstance(error, Vanished) or error.name == COPY_UNPROVEN:
                self._abort()  # nobody will go on with it
            raise
        if self._is_left:
            with suppress(StoreError, MustStop):
                self._retry(self._give_back)
        self._forget()
        return etag

    def _found(self) -> Entry | None:
        """What is at the name now."""
        return self._retry(lambda: head(self._client, self._place, self._raw_id))

    @property
    def _id(self) -> str:
        return self._upload.upload_id if self._upload is not None else ""

    def _go_on(self, source_version: str, part_size: int) -> dict[int, ListedPart]:
        """What an earlier run sent of the same content. What it sent of another one is aborted, and nothing is kept."""
        known = self._means.journal.unfinished(self._raw_file) if self._means.journal else None
        if known is None:
            return {}
        same_place = (known.bucket, known.key) == (self._place.bucket, self._place.key)
        if not known.upload_id:
            if same_place:
                self._give_up_lost(known)
            return {}
        self._upload = known
        if same_place:
            parts = self._listed(known)
            if parts is not None and known.source_version == source_version and known.part_size == part_size:
                self._goes_on = True
                return parts
            if parts is None:
                self._forget()  # it became an object or was aborted: there is nothing to abort
            else:
                self._abort()
        self._upload = None
        return {}

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
        asked = 0

        def ask() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            return self._call("create_multipart_upload", {})

        answer = self._retry(ask)
        upload_id = answer.get("UploadId")
        if not upload_id:
            raise Unavailable("broken-answer", f"The server began an upload of {self._place} and did not say which.")
        upload = intent._replace(upload_id=str(upload_id))
        if asked > 1 or answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            self._give_up_lost(intent, but=upload.upload_id)  # an answer that got lost was perhaps another upload's
        self._write_down(upload)
        return upload

    def _write_down(self, upload: UnfinishedUpload) -> None:
        if self._means.journal is not None:
            self._means.journal.began(upload)

    def _give_up_lost(self, intent: UnfinishedUpload, but: str = "") -> None:
        with suppress(StoreError):  # it costs an entry in a list, and not everybody may look
            for upload in lost_uploads(self._client, intent, self._retry):
                if upload.upload_id != but:
                    self._call("abort_multipart_upload", {"UploadId": upload.upload_id})

    def _forget(self) -> None:
        if self._means.journal is not None and self._upload is not None:
            self._means.journal.ended(self._upload)

    def _send_parts(self, content: Content, part_size: int, kept: dict[int, ListedPart]) -> list[_SentPart]:
        size = content.entry.size

        def parts(window: PartWindow[_SentPart]) -> Iterator[_SentPart]:
            for number, begin in enumerate(range(0, size, part_size), 1):
                read: Future[_Body] = Future()  # room is reserved first, and the part read then
                yield from self._begin_part(window, partial(self._send_part, number, read, kept.get(number)))
                try:
                    read.set_result(_next_part(content, min(part_size, size - begin)))
                except BaseException as error:
                    read.set_exception(error)
                    raise

        return self._in_order(parts, parts_in_flight(size, part_size))

    def _copy_parts(
        self, origin: ObjectAddress, entry: Entry, part_size: int, kept: dict[int, ListedPart], moved: Moved
    ) -> list[_SentPart]:
        def copy(piece: _Range) -> _SentPart:
            done = self._copy_part(origin, entry, piece, kept.get(piece.number))
            moved(piece.size)
            return done

        def parts(window: PartWindow[_SentPart]) -> Iterator[_SentPart]:
            for number, begin in enumerate(range(0, entry.size, part_size), 1):
                piece = _Range(number, begin, min(part_size, entry.size - begin))
                yield from self._begin_part(window, partial(copy, piece))

        return self._in_order(parts, PARTS_IN_MEMORY)

    def _in_order(self, parts: Callable[[PartWindow[_SentPart]], Iterator[_SentPart]], at_once: int) -> list[_SentPart]:
        """Return all parts in order; `parts` begins them in a window and yields those that it took to make room."""
        window = PartWindow[_SentPart](self._means.executor, at_once)
        try:
            done = list(parts(window))
            while window:
                done.append(window.take())
        finally:
            window.close()
        return done

    def _begin_part(self, window: PartWindow[_SentPart], call: Callable[[], _SentPart]) -> Iterator[_SentPart]:
        """Begin with a part; yield those that are taken to make room. Raises Interrupted when the run is asked to stop."""
        self._means.patience.go_on()
        while not window.begin(call):
            yield window.take()

    def _copy_part(self, origin: ObjectAddress, entry: Entry, piece: _Range, kept: ListedPart | None) -> _SentPart:
        """Have the server copy a part; one that is there with the right size is kept unread.

        The ETag of the whole tells whether it was right.

        Raises:
            StoreError: If the server does not tell the part's MD5.
        """
        etag = kept.etag if kept is not None and kept.size == piece.size else ""
        if not etag:
            asked = {
                "UploadId": self._id,
                "PartNumber": piece.number,
                "CopySource": {"Bucket": origin.bucket, "Key": origin.key},
                "CopySourceIfMatch": quoted(entry.etag or ""),
                "CopySourceRange": f"bytes={piece.begin}-{piece.begin + piece.size - 1}",
            }
            answer = self._retry(lambda: self._call("upload_part_copy", asked))
            etag = clean_etag(answer.get("CopyPartResult", {}).get("ETag")) or ""
        if not is_plain_md5(etag):
            raise StoreError(COPY_UNPROVEN, f"The server copies parts of {origin} without telling their MD5.")
        return _SentPart(piece.number, bytes.fromhex(etag), etag)

    def _send_part(self, number: int, read: Future[_Body], kept: ListedPart | None) -> _SentPart:
        """Send a part, unless it is there already with just this content. Waits for what is `read`, and raises what reading raised."""
        with closing(read.result()) as body:
            return self._sent(number, body, kept)

    def _sent(self, number: int, body: _Body, kept: ListedPart | None) -> _SentPart:
        md5 = body.md5()
        if kept is not None and kept == ListedPart(md5.hex(), len(body)) and self._abilities.etag_is_md5:
            return _SentPart(number, md5, kept.etag)
        for _ in range(ROUNDS):
            try:
                etag = self._over_wire(number, body, md5) or self._by_boto3(number, body, md5)
            except NotTheSame as error:
                if error.name in (UPLOAD_LOST, PARTS_LIMITED):
                    raise
                continue  # the server found the damage: this part again, and not the whole file
            if confirms(etag, md5.hex()) or not self._abilities.etag_is_md5:
                return _SentPart(number, md5, etag or md5.hex())
        damaged = NotTheSame(
            "damaged-on-the-way", f"Part {number} of {self._place} arrived as something else, {ROUNDS} times."
        )
        damaged.is_spent = True
        raise damaged

    def _over_wire(self, number: int, body: _Body, md5: bytes) -> str | None:
        if self._wire is None or not isinstance(body.data, bytes):
            return None
        query = {"partNumber": str(number), "uploadId": self._id}
        answer = self._wire.put_part(self._place.bucket, self._place.key, query, body.data, md5)
        return clean_etag(answer.header("etag")) if answer is not None and 200 <= answer.status < 300 else None

    def _by_boto3(self, number: int, body: _Body, md5: bytes) -> str | None:
        asked = {
            "UploadId": self._id,
            "PartNumber": number,
            "Body": body.data,
            "ContentMD5": base64.b64encode(md5).decode(),
        }
        try:
            failures = count(1)
            return clean_etag(self._retry(lambda: self._uploaded(asked, body, failures)).get("ETag"))
        except StoreError as error:
            if number > 1 and code_of(error.__cause__ or error) in _TOO_MANY_PARTS:
                raise self._limited(number - 1) from error
            raise

    def _limited(self, most: int) -> NotTheSame:
        """The error after which the file is sent anew, in larger parts."""
        self._means.limit_parts(most)
        return NotTheSame(PARTS_LIMITED, f"The server takes {most} parts of {self._place} at most.")

    def _uploaded(self, asked: Mapping[str, Any], body: _Body, failures: Iterator[int]) -> dict[str, Any]:
        """Send a part, from its beginning. A server that lost the upload may fail each time: then the list of parts tells.

        Raises:
            NotTheSame: If the upload is lost.
            Unavailable: If the server does not answer.
        """
        body.rewind()
        try:
            return self._call("upload_part", asked)
        except Unavailable as error:
            if next(failures) % LEAST_ATTEMPTS == 0 and self._is_lost():
                raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is not there any more.") from error
            raise

    def _is_lost(self) -> bool:
        try:
            return list_parts(self._client, self._place, self._id) is None
        except StoreError:
            return False

    def _complete(self, sent: list[_SentPart], size: int, condition: Condition) -> str:
        parts = [{"PartNumber": part.number, "ETag": quoted(part.etag)} for part in sent]
        asked = {
            "UploadId": self._id,
            "MultipartUpload": {"Parts": parts},
            **condition.headers(self._abilities),
        }
        expected = self._expected = etag_of_parts([part.md5 for part in sent])
        # An upload takes minutes, and servers that honour a condition on a PUT ignore it here (moto), or may under load.
        condition.check(self._found(), self._place)
        try:
            answered = self._retry(lambda: self._completed(asked, condition))
        except Unavailable:
            if not self._is_lost():
                raise  # the upload is still there, and the next try goes on with it
            answered = None
        found = self._seen_at_last()
        if confirms(found.etag, expected) and found.size == size:
            return expected
        if answered is None:  # refused, or the answer got lost: what is there may be anybody's
            raise AlreadyThere("already-there", f"{self._place} exists by now.")
        if found.size != size or (self._abilities.etag_is_md5 and not confirms(answered, expected)):
            raise NotTheSame("damaged-at-target", f"{self._place} was completed, and is not what was sent.")
        if not (self._abilities.etag_is_md5 or self._abilities.checks_md5 or self._read_back(found) == expected):
            raise NotTheSame("damaged-at-target", f"{self._place} was completed, and holds other bytes than were sent.")
        return found.etag or ""

    def _seen_at_last(self) -> Entry:
        """Return what is at the name once it is seen: completing can take minutes, and HEAD can be behind.

        Raises:
            NotTheSame: If the upload is surely lost.
            StoreError: If nothing is seen: nothing is aborted or sent again then, for the server may still be at it.
        """
        look = partial(head_or_get, self._client, self._place, self._raw_id)
        found = self._means.patience.until(look, at_most=_SECONDS_IF_LOST if self._is_lost_surely else None)
        if found is not None:
            self._may_be_completing = False
            return found
        if self._is_lost_surely:
            self._may_be_completing = False
            raise NotTheSame(UPLOAD_LOST, f"The upload of {self._place} is not there any more.")
        raise StoreError(
            "completed-not-seen",
            f"The server was told to complete {self._place}, and shows nothing there.",
            why="It may still be at it: nothing was aborted.",
            cure="Run the same command again later: what is complete by then counts as there, and what is not goes on.",
        )

    def _read_back(self, found: Entry) -> str:
        """The ETag that the parts of what is at the name would give; for servers that neither check nor tell an MD5."""
        part_size = self._upload.part_size if self._upload is not None else part_size_for(found.size)
        check = EtagCheck(found.etag, found.size, part_size)
        reader = RangeReader(
            self._client,
            self._wire,
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

    def _completed(self, asked: dict[str, Any], condition: Condition) -> str | None:
        """Complete; return the ETag, None where the object has to tell: the answer got lost, or the name was taken.

        Raises:
            Unavailable: If the server does not answer.
            StoreError: If the server refuses at the first try.
        """
        self._completions += 1
        self._may_be_completing = True
        try:
            return clean_etag(self._call("complete_multipart_upload", asked).get("ETag"))
        except Unavailable:
            raise
        except AlreadyThere as error:
            # Somebody else's object took the name, surely if no request of ours can have been executed before: then ours is left over.
            self._is_left = self._is_first_try(error)
            self._may_be_completing = not self._is_left
            return None
        except StoreError as error:
            conditional = [name for name in ("IfNoneMatch", "IfMatch") if name in asked]
            if conditional and is_unsupported(error):
                for name in conditional:
                    del asked[name]
                condition.check(self._found(), self._place)
                return self._completed(asked, condition)
            if isinstance(error, Vanished) or code_of(error.__cause__ or error) == "NoSuchUpload":
                self._is_lost_surely = self._is_first_try(error)
                return None
            if self._is_first_try(error):
                self._may_be_completing = False
                sent = len(asked["MultipartUpload"]["Parts"])
                if sent > 1 and code_of(error.__cause__ or error) in _TOO_MANY_PARTS:
                    raise self._limited(_USUAL_LIMIT if sent > _USUAL_LIMIT else sent // 2) from error
                raise
            return None  # an earlier request may have completed it, after which this one makes no sense to the server

    def _is_first_try(self, error: StoreError) -> bool:
        """Whether no request before the one that failed can have completed the upload."""
        return self._completions == 1 and not self._goes_on and not tries_before(error.__cause__)

    def _abort(self) -> None:
        """Give the parts back; only ever our own upload, which did not become an object.

        SeaweedFS destroys an object whose leftover upload id is aborted after completion (its issue 10663): hence the look first.
        """
        if self._may_be_completing:
            return
        with suppress(StoreError, MustStop):
            was_perhaps_completed = self._expected and (self._completions or self._goes_on)
            if not was_perhaps_completed or self._is_not_there():
                self._retry(self._give_back)
            self._forget()

    def _give_back(self) -> None:
        self._call("abort_multipart_upload", {"UploadId": self._id})

    def _is_not_there(self) -> bool:
        """Whether what is under the name, if anything, cannot be what this upload completed."""
        found = head(self._client, self._place, self._raw_id)
        return found is None or (self._abilities.etag_is_md5 and not confirms(found.etag, self._expected))

    def _call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            call = getattr(self._client, operation)
            answer: dict[str, Any] = call(Bucket=self._place.bucket, Key=self._place.key, **asked)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        return answer


class ListedPart(NamedTuple):
    """A part that the server has, as it lists it."""

    etag: str
    size: int


def list_parts(client: S3Client, place: ObjectAddress, upload_id: str) -> dict[int, ListedPart] | None:
    """The parts that arrived, by number; None for an upload that the server does not know (any more). Raises StoreError.

    SeaweedFS lists a part that was sent again twice, and completes with either: the last one listed counts here, and only our own
    digests are completed with.
    """
    parts: dict[int, ListedPart] = {}
    marker = 0
    while True:
        try:
            answer = client.list_parts(Bucket=place.bucket, Key=place.key, UploadId=upload_id, PartNumberMarker=marker)
        except Exception as error:
            fault = translate(error, str(place))
            if code_of(error) == "NoSuchUpload" or isinstance(fault, Vanished):
                return None
            raise fault from error
        for part in answer.get("Parts", ()):
            parts[part["PartNumber"]] = ListedPart(clean_etag(part.get("ETag")) or "", part.get("Size", -1))
        following = answer.get("NextPartNumberMarker", 0)
        if not answer.get("IsTruncated") or following <= marker:
            return parts
        marker = following


class Unfinished(NamedTuple):
    """A multipart upload as a server lists it; `began_at` in seconds since 1970, 0 where it does not tell."""

    bucket: str
    key: str
    upload_id: str
    began_at: float


def list_uploads(client: S3Client, bucket: str, retry: Retry, prefix: str = "") -> Iterator[Unfinished]:
    """A bucket's unfinished uploads, whoever began them; none where there is no such bucket. Raises StoreError."""
    marker = ("", "")
    while True:

        def ask(marker: tuple[str, str] = marker) -> Any:
            more = {"KeyMarker": marker[0], "UploadIdMarker": marker[1]} if marker[0] else {}
            more |= {"Prefix": prefix} if prefix else {}
            try:
                return client.list_multipart_uploads(Bucket=bucket, **more)  # type: ignore[arg-type]
            except Exception as error:
                if code_of(error) == "NoSuchUpload":  # so `rclone serve s3` says that there is none
                    return {}
                raise translate(error, f"s3://{bucket}") from error

        try:
            page = retry(ask)
        except BucketMissing:
            return
        for upload in page.get("Uploads", ()):
            initiated = upload.get("Initiated")
            yield Unfinished(bucket, upload["Key"], upload["UploadId"], initiated.timestamp() if initiated else 0.0)
        following = (page.get("NextKeyMarker", ""), page.get("NextUploadIdMarker", ""))
        if not page.get("IsTruncated") or following == marker or not following[0]:
            return
        marker = following


def lost_uploads(client: S3Client, intent: UnfinishedUpload, retry: Retry) -> Iterator[UnfinishedUpload]:
    """What the server began after only the intent was written down: under this key, at about this time, without any part.

    None where an object has the name, for that may have come of one of them. Raises StoreError.
    """
    place = ObjectAddress(intent.bucket, intent.key)
    for found in list_uploads(client, intent.bucket, retry, intent.key):
        if found.key == intent.key and abs(found.began_at - intent.began_at) <= _CLOCKS_APART:
            upload_id = found.upload_id
            has_no_parts = retry(partial(list_parts, client, place, upload_id)) == {}
            if has_no_parts and retry(lambda: head(client, place, intent.raw_id)) is None:
                yield intent._replace(upload_id=upload_id)


def give_up(client: S3Client, upload: UnfinishedUpload) -> None:
    """Abort an upload of ours, unless it became the object that is under its name: then there is nothing left to abort.

    SeaweedFS destroys an object whose leftover upload id is aborted after completion (its issue 10663): hence the look
    first.

    Raises:
        StoreError: If the server refuses or fails.
    """  # noqa: DOC501 made by translate
    place = ObjectAddress(upload.bucket, upload.key)
    try:
        parts = list_parts(client, place, upload.upload_id)
    except StoreError as error:
        if not (isinstance(error, AccessDenied) or is_unsupported(error)):
            raise
        if head(client, place, upload.raw_id) is not None:
            return  # whether the object came of this upload cannot be found out
        parts = {}
    if parts is None:
        return
    found = head(client, place, upload.raw_id)
    if found is not None and found.size == sum(part.size for part in parts.values()):
        return
    try:
        client.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload.upload_id)
    except Exception as error:
        if code_of(error) != "NoSuchUpload":
            raise translate(error, str(place)) from error
