"""Naming strategies: the pure two-way maps between raw files and where Bytes looks for them.

Each strategy is a pair of inverse functions: what one names, the other reads back, and nothing else is read back.
Source for every name: ``bytes/raw/file_raw_repository.py`` of Bytes 1.18 to 1.20.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias

from migrator.core.entities import INDEX_LENGTH, RawFile, RawId, is_raw_id

ORGANIZATION_MAX_LENGTH = 32


def is_organization(name: str) -> bool:
    """Whether OpenKAT could have given this code: a lower-case slug of any script (``LowerCaseSlugField(max_length=32)``)."""
    return (
        0 < len(name) <= ORGANIZATION_MAX_LENGTH
        and all(character.isalnum() or character in "-_" for character in name)
        and name == name.lower()
    )


def disk_path_of(raw_file: RawFile) -> str:
    """Where the raw file is, relative to the data folder."""
    return f"{raw_file.organization}/{raw_file.raw_id[:INDEX_LENGTH]}/{raw_file.raw_id}"


def raw_file_at_disk_path(path: str) -> RawFile | None:
    """The raw file that Bytes would read at this path, relative to the data folder; None for everything else."""
    parts = path.split("/")
    if len(parts) != 3:
        return None
    organization, index, name = parts
    if not is_organization(organization) or not is_raw_id(name) or index != name[:INDEX_LENGTH]:
        return None
    return RawFile(organization, RawId(name))


@dataclass(frozen=True, slots=True)
class SingleBucket:
    """One bucket holds the raw files of all organizations: ``<bucket>`` / ``<organization>/<id>``."""

    bucket: str

    def bucket_of(self, organization: str) -> str:
        """Return the one bucket, whatever the organization."""
        return self.bucket

    def key_prefix_of(self, organization: str) -> str:
        """Return ``<organization>/``, with which the keys of its raw files begin."""
        return f"{organization}/"

    def key_of(self, raw_file: RawFile) -> str:
        """Return ``<organization>/<id>``, as `bytes/raw/file_raw_repository.py` of Bytes builds it."""
        return f"{raw_file.organization}/{raw_file.raw_id}"

    def raw_file_at(self, bucket: str, key: str) -> RawFile | None:
        """Return the raw file that Bytes reads at this key; None for a stray or another bucket."""
        organization, slash, name = key.partition("/")
        if bucket != self.bucket or not slash or not is_organization(organization) or not is_raw_id(name):
            return None
        return RawFile(organization, RawId(name))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{{organization}}"


@dataclass(frozen=True, slots=True)
class BucketPerOrganization:
    """A bucket for each organization: ``<prefix><organization>`` / ``<id>``."""

    prefix: str

    def bucket_of(self, organization: str) -> str:
        """Return ``<prefix><organization>``: Bytes joins both as they are, so the result may be invalid on S3."""
        return f"{self.prefix}{organization}"

    def key_prefix_of(self, organization: str) -> str:
        """Return "": everything in the bucket belongs to its organization."""
        return ""

    def key_of(self, raw_file: RawFile) -> str:
        """Return the raw file's id, which is the whole key."""
        return raw_file.raw_id

    def raw_file_at(self, bucket: str, key: str) -> RawFile | None:
        """Return the raw file that Bytes reads at this key; None for a stray or a foreign bucket."""
        organization = self.organization_of(bucket)
        if organization is None or not is_raw_id(key):
            return None
        return RawFile(organization, RawId(key))

    def organization_of(self, bucket: str) -> str | None:
        """The organization whose bucket this would be; the inverse of `bucket_of`."""
        if not bucket.startswith(self.prefix):
            return None
        organization = bucket[len(self.prefix) :]
        return organization if is_organization(organization) else None

    def __str__(self) -> str:
        return f"s3://{self.prefix}{{organization}}"


Naming: TypeAlias = SingleBucket | BucketPerOrganization
"""The map (organization, raw id) ↔ (bucket, key): both are the same four functions."""

_BUCKET_CHARACTERS = re.compile(r"[a-z0-9.-]*")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def broken_bucket_rule(bucket: str) -> str | None:
    """The first S3 naming rule that the name breaks, in words; None for a valid name.

    Source: AWS, "General purpose bucket naming rules"; SeaweedFS, MinIO and Ceph refuse the same but for the reserved affixes.
    """
    if not 3 <= len(bucket) <= 63:
        return f"a bucket name has 3 to 63 characters, this one has {len(bucket)}"
    if bucket != bucket.lower():
        return "a bucket name has no upper-case letters"
    if not _BUCKET_CHARACTERS.fullmatch(bucket):
        odd = next(character for character in bucket if not _BUCKET_CHARACTERS.fullmatch(character))
        shown = odd if odd.isprintable() else f"U+{ord(odd):04X}"
        return f"a bucket name has only lower-case ASCII letters, digits, '-' and '.', not {shown!r}"
    if not (bucket[0].isalnum() and bucket[-1].isalnum()):
        return "a bucket name begins and ends with a letter or digit"
    if ".." in bucket:
        return "a bucket name has no two dots in a row"
    if _resembles_address(bucket):
        return "a bucket name is not formatted like an IP address"
    for affix in _RESERVED_PREFIXES:
        if bucket.startswith(affix):
            return f"a bucket name does not begin with {affix!r}, which S3 reserves"
    for affix in _RESERVED_SUFFIXES:
        if bucket.endswith(affix):
            return f"a bucket name does not end with {affix!r}, which S3 reserves"
    return None


_SENT_BY_BOTO3 = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_S3_EXPRESS = "--x-s3"


def is_sent_by_boto3(bucket: str) -> bool:
    """Whether Bytes' client sends requests for this bucket name at all; a server that would take another name never hears of it.

    Source: botocore, ``handlers.validate_bucket_name``, which raises ParamValidationError; and its endpoint rules, by which a name that
    ends with ``--x-s3`` is a directory bucket of S3 Express, for which it asks for a session first.
    """
    return _SENT_BY_BOTO3.fullmatch(bucket) is not None and not bucket.endswith(_S3_EXPRESS)


def has_name_with_some_prefix(organization: str) -> bool:
    """Whether a bucket for this organization alone can follow S3's rules, with the right S3_BUCKET_PREFIX."""
    return broken_bucket_rule(f"raw-{organization}") is None


def _resembles_address(bucket: str) -> bool:
    try:
        ipaddress.IPv4Address(bucket)
    except ValueError:
        return False
    return True
