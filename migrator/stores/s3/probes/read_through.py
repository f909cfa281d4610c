"""What a server answers for raw files that it does not have, with and without a signature. Only reads."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

from migrator.config.locations import S3Location
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import MigratorError
from migrator.core.parallel_calls import run_concurrently
from migrator.core.read_through_header import HEADER, is_from_disk, is_read_through
from migrator.doctor.read_through_checks import MissingKey
from migrator.stores.s3.probes.client import ProbeClient


def ask_for_missing(location: S3Location, organizations: Sequence[str]) -> tuple[list[MissingKey], list[str]]:
    """Ask each bucket for a raw file that nobody has; also returns the buckets that do not exist. Raises MigratorError."""
    first_of = {location.naming.bucket_of(one): one for one in reversed(organizations)}
    with (
        closing(ProbeClient(location.access)) as signed,
        closing(ProbeClient(location.access, unsigned=True)) as unsigned,
    ):

        def ask(bucket: str) -> MissingKey | None:
            where = f"s3://{bucket}"
            if signed.ask("head_bucket", where, Bucket=bucket).status == 404:
                return None
            key = location.naming.key_of(RawFile(first_of[bucket], RawId(str(uuid.uuid4()))))
            statuses = (asker.ask("get_object", where, Bucket=bucket, Key=key).status for asker in (signed, unsigned))
            return MissingKey(bucket, *statuses)

        answers = dict(zip(first_of, run_concurrently([partial(ask, bucket) for bucket in first_of]), strict=True))
    return [one for one in answers.values() if one is not None], [name for name, one in answers.items() if one is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedThrough:
    """What came back through a proxy for a raw file: the HTTP status, and the size in bytes that it told."""

    raw_file: RawFile
    status: int
    size: int


def ask_through(location: S3Location, raw_files: Sequence[RawFile]) -> list[AskedThrough]:
    """Ask for each of these raw files by HEAD, whichever place answers; in their order."""
    with closing(ProbeClient(location.access)) as asker:

        def ask(raw_file: RawFile) -> AskedThrough:
            bucket = location.naming.bucket_of(raw_file.organization)
            key = location.naming.key_of(raw_file)
            answer = asker.ask("head_object", f"s3://{bucket}", Bucket=bucket, Key=key)
            status = (
                200 if is_from_disk(answer.headers.get(HEADER.lower())) else answer.status
            )  # our client makes it a 404
            length = answer.headers.get("content-length", "")
            return AskedThrough(raw_file=raw_file, status=status, size=int(length) if length.isdecimal() else -1)

        return run_concurrently([partial(ask, raw_file) for raw_file in raw_files])


def reads_through(location: S3Location) -> bool:
    """Whether an answer from this endpoint carries our header. False too where it does not answer."""
    with suppress(MigratorError), closing(ProbeClient(location.access)) as asker:
        answer = asker.ask("list_buckets", str(location))
        return is_read_through(answer.headers.get(HEADER.lower()))
    return False
