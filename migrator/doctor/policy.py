"""The least that a key has to be allowed for a command here, as an IAM policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket

Purpose = Literal["migrate", "verify", "reverse", "prune", "bytes"]
PURPOSES: tuple[Purpose, ...] = ("migrate", "verify", "reverse", "prune", "bytes")
PROBES = ".bytes-migrator-probe/*"
LOCKS = ".bytes-migrator-lock/*"

_READ_BUCKET = ("s3:ListBucket",)
_READ_OBJECTS = ("s3:GetObject",)
_WRITE_BUCKET = ("s3:CreateBucket", "s3:ListBucket")
_WRITE_OBJECTS = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")
_MARKS = ("s3:DeleteObject", "s3:PutObject")
_VERSIONS = ("s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning")
_BYTES_OBJECTS = ("s3:GetObject", "s3:PutObject")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3End:
    """One end on S3. `organizations` empty: not known, so all buckets of the prefix are meant.

    `partition` is AWS's: aws, aws-cn, aws-us-gov.
    """

    naming: Naming
    organizations: tuple[str, ...] = ()
    is_target: bool = False
    partition: str = "aws"

    def buckets(self, *, future: bool) -> list[str]:
        """ARNs of its buckets; in the `future` there will be organizations that nobody knows yet."""
        arn = f"arn:{self.partition}:s3:::"
        if isinstance(self.naming, SingleBucket):
            return [f"{arn}{self.naming.bucket}"]
        if future or not self.organizations:
            return [f"{arn}{self.naming.prefix}*"]
        return [f"{arn}{self.naming.bucket_of(organization)}" for organization in self.organizations]


def policy(purpose: Purpose, ends: Sequence[S3End]) -> dict[str, object]:
    """The policy's document. `reverse` reads what is the target now; each statement has a Sid that says what it is for."""
    statements = [statement for end in ends for statement in _statements(purpose, end)]
    return {"Version": "2012-10-17", "Statement": statements}


def _statements(purpose: Purpose, end: S3End) -> list[dict[str, object]]:
    buckets = end.buckets(future=purpose == "bytes")
    objects = [f"{bucket}/*" for bucket in buckets]
    role = "Target" if end.is_target else "Source"
    if purpose == "bytes":
        return [
            _allow("BytesBuckets", _WRITE_BUCKET, buckets),
            _allow("BytesRawFiles", _BYTES_OBJECTS, objects),
        ]
    if purpose == "migrate" and end.is_target:
        return [
            _allow("TargetBuckets", _WRITE_BUCKET, buckets),
            _allow("TargetRawFiles", _WRITE_OBJECTS, objects),
            _allow("TargetProbes", ("s3:DeleteObject",), [f"{bucket}/{PROBES}" for bucket in buckets]),
        ]
    found = [_allow(f"{role}Buckets", _READ_BUCKET, buckets), _allow(f"{role}RawFiles", _READ_OBJECTS, objects)]
    if purpose == "prune":
        found += _to_prune(role, end, buckets)
    is_source = not end.is_target or purpose == "reverse"
    if is_source and isinstance(end.naming, BucketPerOrganization):
        found.append(_allow("FindOrganizations", ("s3:ListAllMyBuckets",), ["*"]))
    return found


def _to_prune(role: str, end: S3End, buckets: Sequence[str]) -> Iterator[dict[str, object]]:
    """Marks at both ends; at the source also the deletion of raw files, and what is known of versions and locks."""
    own = [LOCKS]
    if not end.is_target:  # the mark that finds one place under two names lies beside an organization's raw files
        own.append(f"*/{PROBES}" if isinstance(end.naming, SingleBucket) else PROBES)
    yield _allow(f"{role}Marks", _MARKS, [f"{bucket}/{keys}" for bucket in buckets for keys in own])
    if not end.is_target:
        yield _allow("SourceVersions", _VERSIONS, buckets)
        yield _allow("DeleteRawFiles", ("s3:DeleteObject",), [f"{bucket}/*" for bucket in buckets])


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
