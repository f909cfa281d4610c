"""A location on S3, opened for writing: whole objects, in parts, or copied by the server, each on condition and each proven."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from migrator.config.locations import S3Access, S3Location
from migrator.core.entities import Entry, RawFile, UnfinishedUpload
from migrator.core.equality import EtagCheck, confirms, has_parts_of, is_plain_md5, is_same_state, proves, same_content
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    Interrupted,
    NotTheSame,
    SourceChanged,
    StoreError,
    StoreFull,
    Vanished,
)
from migrator.core.naming import SingleBucket
from migrator.core.protocols import Content, Moved, Receipt, Source, UploadJournal, ignore_moved
from migrator.core.size_thresholds import WHOLE_UP_TO
from migrator.stores.s3.capabilities import Capabilities, copies_conditionally, probe
from migrator.stores.s3.errors.mapping import is_unsupported, translated
from migrator.stores.s3.http.file_body import body_of, md5_of, refuse_changed_body
from migrator.stores.s3.listing.buckets import buckets_with_prefix, create_bucket
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.part_sizes import LARGEST_OBJECT, SMALLEST_OF_S3, part_size_for
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.transfer.conditional_put import Condition, put
from migrator.stores.s3.transfer.memory_part import read_to_memory
from migrator.stores.s3.transfer.multipart import MultipartUpload
from migrator.stores.s3.transfer.object_reads import ObjectAddress, first_part_size, head_or_get
from migrator.stores.s3.transfer.unfinished_uploads import Unfinished, give_up, list_parts, list_uploads, lost_uploads
from migrator.stores.s3.transfer.upload_requests import UPLOAD_LOST, UploadContext
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    pass

LARGEST_COPY = 5 << 30
"""CopyObject takes up to 5 GiB (AWS, "Copying objects")."""


class S3Receipt:
    """An object that arrived; on S3 nothing is left to publish."""

    __slots__ = ("version",)

    def __init__(self, version: str) -> None:
        self.version = version


class S3Target(S3Source):
    """Raw files as objects, opened for writing."""

    def __init__(
        self,
        location: S3Location,
        patience: RetryPolicy,
        *,
        abilities: Capabilities,
        create_buckets: bool,
        buckets_there: tuple[str, ...] = (),
        wired: bool = True,
        journal: UploadJournal | None = None,
        throttle: Throttle | None = None,
        largest_copy: int = LARGEST_COPY,
    ) -> None:
        """Open; buckets of `buckets_there` are not asked for again.

        `largest_copy` is what one CopyObject takes, in bytes: what is larger is copied in parts.
        """
        super().__init__(location, patience, wired=wired, throttle=throttle)
        self._largest_copy = largest_copy
        self._journal = journal
        self.abilities = abilities
        self._create_buckets = create_buckets
        self._prepared = set(buckets_there)
        self._preparing = threading.Lock()
        self._copies_on_condition = abilities.conditional_create and copies_conditionally(self.client)

    def probe(self, organization: str, name: str, *, copies: bool = False) -> Capabilities:
        """Look what the server can do, and use it from now on. Writes to the organization's bucket, which must exist.

        `copies`: its copies too, which matter where the source is at the same server.
        """
        seen = self._retry(lambda: probe(self.client, self.bucket_of(organization), name, copies=copies))
        self.abilities = replace(seen, unsigned_payload=not self._adapting.signs_payloads)
        return self.abilities

    def sent_of(self, upload: UnfinishedUpload) -> tuple[int, int] | None:
        """Parts and bytes that the server has of an upload; None if it does not know it (any more). Raises StoreError."""
        place = ObjectAddress(upload.bucket, upload.key)
        parts = self._retry(lambda: list_parts(self.client, place, upload.upload_id))
        return None if parts is None else (len(parts), sum(part.size for part in parts.values()))

    def resolve_intent(self, upload: UnfinishedUpload) -> tuple[UnfinishedUpload, ...]:
        """Return the upload itself; of a mere intent, what the server began by it, if anything.

        Raises:
            StoreError: If the server does not answer; one that does not list uploads has nothing to tell.
        """
        if upload.upload_id:
            return (upload,)
        try:
            return tuple(lost_uploads(self.client, upload, self._retry))
        except StoreError as error:
            if isinstance(error, AccessDenied) or is_unsupported(error):
                return ()  # nobody can find out; it would be an entry in a list, without any part
            raise

    def give_up(self, upload: UnfinishedUpload) -> None:
        """Abort an upload of ours. Raises StoreError."""
        for each in self.resolve_intent(upload):
            self._retry(partial(give_up, self.client, each))

    def prepare(self, organization: str) -> None:
        """Make the organization's bucket if it is missing; each bucket is asked for once.

        Raises:
            BucketMissing: If it is missing and none may be made.
        """
        bucket = self._naming.bucket_of(organization)
        with self._preparing:
            if bucket in self._prepared:
                return
            if not self.bucket_exists(bucket):
                if not self._create_buckets:
                    raise BucketMissing(
                        "bucket-missing", f"The bucket {bucket} does not exist.", cure="Make it, or allow its creation."
                    )
                self._retry(lambda: create_bucket(self.client, bucket, self.access.region))
            self._prepared.add(bucket)

    def is_same_server(self, source: S3Source) -> bool:
        """Whether the source is at the same server, reached with the same keys: only then can that copy."""
        return are_alike(source.access, self.access)

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        """Have the server copy content whose ETag says what it is, so that the copy proves itself by its own.

        Up to 5 GiB with an MD5 in one request; what was made in parts of a known size in the same parts, so that it
        gets the same ETag.

        Raises:
            AlreadyThere: If the name is taken.
            StoreError: If the server refuses or fails; where it cannot copy, None is returned instead.
        """
        if not self.abilities.copies or not isinstance(source, S3Source) or not self.is_same_server(source):
            return None
        place, origin = self.place(raw_file), source.place(raw_file)
        part_size = self._copied_in_parts_of(origin, entry)
        if part_size is None and not (is_plain_md5(entry.etag) and entry.size <= self._largest_copy):
            return None
        Condition().check(self.stat(raw_file), place)
        try:
            if part_size is not None:
                answer = MultipartUpload(self._means(), place, raw_file).copy(origin, entry, part_size, moved)
            else:
                answer = self._retry(lambda: self._copy(place, origin, entry))
        except AlreadyThere:
            self._refuse_changed_source(raw_file, source, entry)
            raise
        except StoreError as error:
            if not self._passes_through_here(error, in_parts=part_size is not None):
                raise
            return None
        if not confirms(answer, entry.etag) and not self._proven(raw_file, source, entry):
            return self._write_over_copy(raw_file, source, entry, answer)
        return S3Receipt(answer)

    def _write_over_copy(self, raw_file: RawFile, source: S3Source, entry: Entry, etag: str) -> S3Receipt:
        """Replace a copy that the server made, and made differently, by the content itself.

        Raises:
            NotTheSame: If something else is there by now.
        """
        found = self.stat(raw_file)
        if found is None or (etag and not confirms(found.etag, etag)):
            place = self.place(raw_file)
            raise NotTheSame(
                "damaged-at-target", f"The server copied {source.place(raw_file)} to {place}, and they differ."
            )
        with source.open(raw_file, entry) as content:
            return self._write(raw_file, content, Condition(found.etag))

    def _refuse_changed_source(self, raw_file: RawFile, source: S3Source, entry: Entry) -> None:
        """Tell a taken name from a changed source: the server refuses a copy alike for both.

        Raises:
            SourceChanged: If the source is another object than was listed.
        """
        if self.stat(raw_file) is not None:
            return
        now = source.stat(raw_file)
        if not is_same_state(now, entry):
            raise SourceChanged("source-changed", f"{source.place(raw_file)} is another object than was listed.")
        self._seen_at_last(raw_file)  # the name is taken, by a try before this one perhaps, and it shows late

    def _seen_at_last(self, raw_file: RawFile) -> Entry | None:
        """What is at the name once it is seen: what was written may show late."""
        return self.patience.until(partial(head_or_get, self.client, self.place(raw_file), raw_file.raw_id))

    def _passes_through_here(self, error: StoreError, *, in_parts: bool) -> bool:
        """Whether the bytes pass through this machine instead; remembers what the server does not do, or not for us."""
        if isinstance(error, (StoreFull, BucketMissing, Vanished, SourceChanged, Interrupted)):
            return False
        if error.temporary and error.name != UPLOAD_LOST:
            return False
        is_for_all = isinstance(error, AccessDenied) or is_unsupported(error)
        if in_parts:
            self._learn("copies_parts", False)
        elif is_for_all:
            self._learn("copies", False)
        return True

    def _learn(self, name: str, value: int) -> None:
        """Remember what the server does not do, here and for the runs to come."""
        self.abilities = self.abilities.with_learned({name: value})
        if self._journal is not None:
            self._journal.learned(name, value)

    def _copied_in_parts_of(self, origin: ObjectAddress, entry: Entry) -> int | None:
        """In parts of how many bytes the server shall copy an object; None for one that goes in one request, or through here."""
        if entry.size <= WHOLE_UP_TO or entry.etag is None or not self.abilities.copies_parts:
            return None
        if is_plain_md5(entry.etag):
            return part_size_for(entry.size, self.abilities.most_parts) if entry.size > self._largest_copy else None
        check = EtagCheck(entry.etag, entry.size)
        if check.only_part_size is not None:
            return check.only_part_size
        part_size: int | None = self._retry(lambda: first_part_size(self.client, origin))
        is_possible = part_size is not None and SMALLEST_OF_S3 <= part_size <= self._largest_copy
        return part_size if is_possible and has_parts_of(entry.etag, entry.size, part_size or 0) else None

    def store(self, raw_file: RawFile, content: Content) -> S3Receipt:
        """Write the object on condition that the name is free; in parts if it is large."""
        return self._write(raw_file, content, Condition())

    def replace(self, raw_file: RawFile, content: Content, own_version: str) -> S3Receipt:
        """Write the object on condition that our own copy, by its ETag, is still there."""
        return self._write(raw_file, content, Condition(own_version))

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Answer None for each: an object is visible and durable as soon as it is stored."""
        for raw_file, _ in receipts:
            yield raw_file, None

    def clear_leftovers(self, source: Source) -> None:
        """Unfinished uploads are the ledger's to know: see `app/migrating.py`."""

    def unclaimed(self, known: frozenset[str]) -> Iterator[tuple[RawFile, Unfinished]]:
        """Unfinished uploads under names of raw files whose ids are not known, of whomever they are. Raises StoreError."""
        naming = self._naming
        if isinstance(naming, SingleBucket):
            buckets = [naming.bucket]
        else:
            buckets = buckets_with_prefix(self.client, naming.prefix, self._retry)
        for bucket in buckets:
            for found in list_uploads(self.client, bucket, self._retry):
                raw_file = naming.raw_file_at(bucket, found.key)
                if raw_file is not None and found.upload_id not in known:
                    yield raw_file, found

    def _write(self, raw_file: RawFile, content: Content, condition: Condition) -> S3Receipt:
        place, size = self.place(raw_file), content.entry.size
        if size > LARGEST_OBJECT:
            raise StoreError(
                "too-large",
                f"{raw_file.raw_id} has {size:,} bytes, and S3 takes objects of at most 5 TiB.",
                cure="Check it: a sparse file can claim any size.",
            )
        if size > WHOLE_UP_TO:
            upload = MultipartUpload(self._means(), place, raw_file)
            return S3Receipt(upload.send(content, condition))
        part = content.part(size)
        if part is not None:
            return S3Receipt(self._write_whole(place, content, part, condition))
        with self._parts.room_for(size):
            part = read_to_memory(content, size, self._parts.buffers)
            return S3Receipt(self._write_whole(place, content, part, condition))

    def _write_whole(self, place: ObjectAddress, content: Content, part: BinaryIO, condition: Condition) -> str:
        """Hash and send; return the ETag. What is hashed is proven to be the source, and what is sent to be what was hashed."""
        raw_id, until = content.entry.raw_id, self.patience.until
        with closing(body_of(part, content.entry.size)) as body:
            md5 = md5_of(body)
            content.finish()

            def attempt() -> str:
                try:
                    return put(self.client, place, raw_id, body, md5, self.abilities, condition, self._throttle, until)
                except StoreError:
                    refuse_changed_body(body, md5, str(place))
                    raise

            return self._retry(attempt)

    def _means(self) -> UploadContext:
        return UploadContext(
            client=self.client,
            wire=self.wire,
            abilities=self.abilities,
            executor=self._parts,
            patience=self.patience,
            journal=self._journal,
            throttle=self._throttle,
            limit_parts=partial(self._learn, "most_parts"),
        )

    def _copy(self, place: ObjectAddress, origin: ObjectAddress, entry: Entry) -> str:
        """Copy in one request; return the ETag.

        A server that does not take the condition is asked without it: it was looked before that the name is free.

        Raises:
            StoreError: If the server refuses or fails.
        """
        parameters: dict[str, Any] = {}
        if self._copies_on_condition:
            parameters["IfNoneMatch"] = "*"
        try:
            return self._copied(place, origin, entry, parameters)
        except StoreError as error:
            if not parameters or not is_unsupported(error):
                raise
        etag = self._copied(place, origin, entry, {})
        self._copies_on_condition = False
        return etag

    def _copied(self, place: ObjectAddress, origin: ObjectAddress, entry: Entry, parameters: dict[str, Any]) -> str:
        with translated(str(place)):
            answer = self.client.copy_object(
                Bucket=place.bucket,
                Key=place.key,
                CopySource={"Bucket": origin.bucket, "Key": origin.key},
                CopySourceIfMatch=quoted(entry.etag or ""),
                **parameters,
            )
        return clean_etag(answer.get("CopyObjectResult", {}).get("ETag")) or ""

    def _proven(self, raw_file: RawFile, source: Source, entry: Entry) -> bool:
        found = self._seen_at_last(raw_file)
        if found is None or found.size != entry.size:
            return False
        is_what_was_listed = entry.etag is not None and proves(self, raw_file, found, entry.etag)
        return is_what_was_listed or same_content(raw_file, source, entry, self, found)


def are_alike(one: S3Access, other: S3Access) -> bool:
    """Whether both reach the same server with the same keys, whatever was learned of it through one of them."""
    here, there = (replace(end, signs_payloads=False, addressing=None, lists_by_v1=False) for end in (one, other))
    return here == there
