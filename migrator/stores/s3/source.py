"""A location on S3, opened for reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from migrator.config.locations import S3Access, S3Location
from migrator.core.entities import HEX_DIGITS, Entry, Folder, RawFile, RawId, Shard, is_raw_id, length_for
from migrator.core.equality import EtagCheck
from migrator.core.errors import AccessDenied, BucketMissing, CannotStart
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket, is_organization
from migrator.core.notices import Notice, NoticeKind, Notify, ignore_notice
from migrator.core.protocols import Promise
from migrator.core.size_thresholds import SMALLEST_PART, WHOLE_UP_TO
from migrator.stores.reserved_names import OWN_PREFIXES, key_reason
from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.http.curl import CurlClient, is_available
from migrator.stores.s3.listing.buckets import bucket_exists, buckets_with_prefix
from migrator.stores.s3.listing.consistency import Question
from migrator.stores.s3.listing.pages import PAGE, Lister, just_before, refuse_hidden_folder, refuse_hidden_keys
from migrator.stores.s3.stored_checksums import promise_of
from migrator.stores.s3.transfer.object_content import BodyReader, Reader, S3Content
from migrator.stores.s3.transfer.object_reads import ObjectAddress, head
from migrator.stores.s3.transfer.part_window import PartExecutor
from migrator.stores.s3.transfer.ranged_get import RangeReader
from migrator.stores.scan_read_ahead import ReadAhead
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HEX = frozenset(HEX_DIGITS)


class S3Source:
    """Raw files as objects, opened for reading."""

    def __init__(
        self, location: S3Location, patience: RetryPolicy, *, wired: bool = True, throttle: Throttle | None = None
    ) -> None:
        """Open; `wired` is whether libcurl may be used, where this machine has it; `throttle` limits its requests and bytes."""
        self.location = location
        self._naming: Naming = location.naming
        connection = connect(location.access, throttle=throttle)
        self._throttle = connection.throttle
        self.client: S3Client = connection.client
        """For those few who do more than read or write raw files."""
        self._adapting = connection.adapting
        self.wire = CurlClient(connection) if wired and is_available() else None
        self._parts = PartExecutor()
        self.patience = patience
        """What repeats requests, for those who make some of their own."""
        self._retry = patience.run
        self._lister = Lister(self.client, self._retry, self.wire, by_v1=location.access.lists_by_v1)

    def close(self) -> None:
        """Wait for parts that are being read, and close all connections."""
        self._parts.close()
        self.client.close()

    @property
    def adapted(self) -> S3Location:
        """The location with what was learned of its server until now: region, addressing, whether it wants content signed, how it lists."""
        access = self._adapting.applied_to(self.location.access)
        return replace(self.location, access=replace(access, lists_by_v1=self._lister.by_v1))

    @property
    def access(self) -> S3Access:
        """Return the settings that this client was made from."""
        return self.location.access

    def describe(self, raw_file: RawFile) -> str:
        """Return the raw file's URL, ``s3://bucket/key``."""
        return str(self.place(raw_file))

    def bucket_of(self, organization: str) -> str:
        """Return the bucket that Bytes reads this organization's raw files from."""
        return self._naming.bucket_of(organization)

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket is there. Raises StoreError."""
        return bool(self._retry(lambda: bucket_exists(self.client, bucket)))

    def organizations(self, notify: Notify) -> Iterator[str]:
        """Yield organizations ascending: of folders in the one bucket, or of the names of buckets."""
        if isinstance(self._naming, SingleBucket):
            yield from self._organizations_in(self._naming.bucket, notify)
        else:
            yield from self._organizations_of(self._naming, notify)

    def shard_length(self, organization: str) -> int:
        """Estimate from the first page of keys, which are evenly spread, being random."""
        bucket, prefix = self._at(organization)
        seen, last = 0, ""
        for found in self._lister.objects(bucket, prefix):
            seen += 1
            last = found.key[len(prefix) :]
            if seen == PAGE:
                break
        if seen < PAGE or not is_raw_id(last):
            return 0 if seen < PAGE else 1
        return length_for(seen * 0x10000 / (int(last[:4], 16) + 1))

    def folders(self, shard: Shard) -> Sequence[Folder]:
        """Return nothing: S3 has no index folders."""
        return ()

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        """Yield the shard's raw files; the next page is fetched while this one is consumed."""
        return self._notifying(ReadAhead(lambda: self._scan(shard)), notify)

    def _notifying(self, ahead: ReadAhead[Entry | Notice], notify: Notify) -> Iterator[Entry]:
        """Entries as they come; notices are told in the thread that takes them."""
        for chunk in ahead:
            for found in chunk:
                if isinstance(found, Entry):
                    yield found
                else:
                    notify(found)

    def _scan(self, shard: Shard) -> Iterator[Entry | Notice]:
        bucket, prefix = self._at(shard.organization)
        cut = len(prefix)
        is_empty = True
        for page in self._lister.pages(Question(bucket=bucket, prefix=prefix + shard.prefix, most=PAGE)):
            for key, size, etag, modified_ns in page.objects:
                is_empty = False
                name = key[cut:]
                if is_raw_id(name):
                    yield Entry(RawId(name), size, etag, modified_ns, modified_ns)
                elif not name.startswith(OWN_PREFIXES):
                    yield _stray(shard.organization, bucket, key, name, size)
        if is_empty:
            self._refuse_hidden(shard)

    def _refuse_hidden(self, shard: Shard) -> None:
        """Raise StoreError if another listing names what the shard's own, which is empty, does not."""
        bucket, prefix = self._at(shard.organization)
        if shard.prefix:
            refuse_hidden_keys(self._lister, bucket, prefix, shard.prefix)
        elif prefix:
            refuse_hidden_folder(self._lister, bucket, prefix)

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        """Tell keys that no shard has in its listing, by asking from the end of each shard to the next."""
        bucket, prefix = self._at(organization)
        after: str | None = ""
        while after is not None:
            after = self._strays_up_to_a_shard(organization, bucket, prefix, after, length, notify)

    def _strays_up_to_a_shard(
        self, organization: str, bucket: str, prefix: str, after: str, length: int, notify: Notify
    ) -> str | None:
        """Tell strays up to the first key that a shard holds; returns behind which key to go on, None at the end."""
        for found in self._lister.objects(bucket, prefix, after=after):
            if found.key <= after:
                continue  # the server does not know `StartAfter`: these were met
            name = found.key[len(prefix) :]
            if len(name) >= length and set(name[:length]) <= _HEX:
                behind = f"{prefix}{name[: length - 1]}{'9' if name[length - 1].isdigit() else 'f'}~"
                if behind > after:
                    return behind
            elif not name.startswith(OWN_PREFIXES):
                notify(_stray(organization, bucket, found.key, name, found.size))
        return None

    def is_empty(self, organization: str) -> bool:
        """Return True if the bucket is missing, or has no key of the organization. One request."""
        bucket, prefix = self._at(organization)
        try:
            return next(self._lister.objects(bucket, prefix, page_size=1), None) is None
        except BucketMissing:
            return True

    def stat(self, raw_file: RawFile) -> Entry | None:
        """Return the object's entry by HEAD, retried; None where there is none."""
        found: Entry | None = self._retry(lambda: head(self.client, self.place(raw_file), raw_file.raw_id))
        return found

    def is_listed(self, raw_file: RawFile) -> bool:
        """Return True if a fresh listing has the key; False where the bucket is missing."""
        place = self.place(raw_file)
        try:
            return self._lister.has(place.bucket, place.key) is not None
        except BucketMissing:
            return False

    def listed(self, first: RawFile, last: RawFile, most: int) -> Iterator[Entry]:
        """Yield what a fresh listing has from `first` to `last`, of one organization; at most `most` raw files. Raises StoreError."""
        bucket, prefix = self._at(first.organization)
        after = just_before(f"{prefix}{first.raw_id}")
        for found in islice(self._lister.objects(bucket, prefix, after=after), most):
            if found.key > f"{prefix}{last.raw_id}":
                return
            yield Entry(RawId(found.key[len(prefix) :]), found.size, found.etag, found.modified_ns, found.modified_ns)

    def promise(self, raw_file: RawFile) -> Promise | None:
        """Ask the server, retried, what it says of the object's content."""
        promise: Promise = self._retry(lambda: promise_of(self.client, self.place(raw_file)))
        return promise

    def can_read(self, raw_file: RawFile) -> bool:
        """Return True: only reading tells."""
        return True

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[S3Content]:
        """Open the object for reading, by ranges if it is large, and close it behind the block."""
        place = self.place(raw_file)
        with self._parts.one_reader if entry.size > WHOLE_UP_TO else nullcontext():
            content = S3Content(place, entry, lambda check, again: self._reader(place, entry, check, again=again))
            with closing(content):
                yield content

    def _reader(self, place: ObjectAddress, entry: Entry, check: EtagCheck, *, again: bool) -> Reader:
        if entry.size <= WHOLE_UP_TO:
            return BodyReader(self.client, place, entry, self.patience, self._throttle)
        return RangeReader(
            self.client,
            self.wire,
            place,
            entry,
            part_size=None if again else check.only_part_size,
            first=SMALLEST_PART // 2 if again else None,
            executor=self._parts,
            patience=self.patience,
            throttle=self._throttle,
        )

    def _at(self, organization: str) -> tuple[str, str]:
        return self._naming.bucket_of(organization), self._naming.key_prefix_of(organization)

    def place(self, raw_file: RawFile) -> ObjectAddress:
        """Return bucket and key under which Bytes reads the raw file."""
        return ObjectAddress(self._naming.bucket_of(raw_file.organization), self._naming.key_of(raw_file))

    def _organizations_in(self, bucket: str, notify: Notify) -> Iterator[str]:
        """A bucket that does not exist has none; folders that no organization could have are strays."""
        if not self.bucket_exists(bucket):
            return
        found: list[str] = []
        for name, size in self._lister.folders(bucket):
            where = f"s3://{bucket}/{name}"
            if size is not None:
                notify(Notice(NoticeKind.STRAY, where, "a key without an organization", "", size))
            elif is_organization(name.removesuffix("/")):
                found.append(name.removesuffix("/"))
            elif name not in OWN_PREFIXES:
                notify(Notice(NoticeKind.STRAY, where, "not an organization's code (lower-case slug)"))
        yield from sorted(found)  # a listing has "a-b/" before "a/", or the other way round

    def _organizations_of(self, naming: BucketPerOrganization, notify: Notify) -> Iterator[str]:
        try:
            buckets = buckets_with_prefix(self.client, naming.prefix, self._retry)
        except AccessDenied as error:
            if error.name != "access-denied":
                raise
            raise CannotStart(
                "list-buckets-denied",
                "These credentials may not list buckets, so the organizations are not known.",
                cure="Name them: --organization NAME for each, or allow s3:ListAllMyBuckets.",
            ) from error
        found, refused = 0, None
        for bucket in buckets:
            organization = naming.organization_of(bucket)
            try:
                is_ours = organization is not None and self._holds_raw_files(organization)
            except AccessDenied as error:
                if error.name != "access-denied" or organization is None:
                    raise
                refused = refused or error
                notify(_closed_bucket(bucket, organization, error))
                continue
            if is_ours and organization is not None:
                found += 1
                yield organization
            else:
                notify(Notice(NoticeKind.LEFT_ALONE, f"s3://{bucket}", "no raw file lies in this bucket"))
        if refused is not None and not found:
            raise refused

    def _holds_raw_files(self, organization: str) -> bool:
        return any(next(self.scan(Shard(organization, digit), ignore_notice), None) is not None for digit in HEX_DIGITS)


def _stray(organization: str, bucket: str, key: str, name: str, size: int) -> Notice:
    return Notice(NoticeKind.STRAY, f"s3://{bucket}/{key}", key_reason(name), organization, size)


def _closed_bucket(bucket: str, organization: str, error: AccessDenied) -> Notice:
    reason = f"{error} If it is no bucket of Bytes, name the organizations with --organization."
    return Notice(NoticeKind.UNREADABLE_FOLDER, f"s3://{bucket}", reason, organization, code=error.name)
