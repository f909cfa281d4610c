"""Settings as frozen values that the rest of the program works with: locations, access to S3, and what they come from. Pure.

All of them can be pickled for workers, but for a secret: none is printed, and none leaves this process and those forked from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeAlias
from urllib.parse import urlsplit

from migrator.config.env_file import Setting
from migrator.config.environment import (
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    BYTES_DEFAULTS,
    CA_BUNDLE,
    DATA_DIR,
    ENDPOINT_URL,
    FILE_PERMISSION,
    FOLDER_PERMISSION,
    REGION,
)
from migrator.core.findings import Finding
from migrator.core.naming import Naming, SingleBucket


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Text that does not print itself."""

    _text: str

    def reveal(self) -> str:
        """The text; only for handing it to the library that signs with it."""
        return self._text

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: workers of other machines use the keys of their own environment.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a secret cannot be pickled")

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How to reach and sign for an S3 server; what is None, boto3 finds by its own chain in this process's environment.

    `addressing` ("path", "virtual"), `signs_payloads` and `lists_by_v1` come from no setting: they are what this
    program learned of the server.
    """

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    ca_bundle: str | None = None
    config_file: str | None = None
    shared_credentials_file: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    addressing: str | None = None
    signs_payloads: bool = False
    lists_by_v1: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLocation:
    """A data folder, and the modes that Bytes gives to what it makes there.

    `is_for_bytes` False: nothing says that Bytes will read there. It may be a copy for other eyes, so owners are its maker's business.
    """

    root: Path
    folder_mode: int
    file_mode: int
    is_for_bytes: bool = field(default=True, compare=False)

    @property
    def identity(self) -> str:
        """Stable text that tells this location from others, however it is spelled."""
        return disk_identity(self.root)

    def __str__(self) -> str:
        return f"{self.root} (disk)"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """Buckets under a naming strategy, and how to reach them."""

    naming: Naming
    access: S3Access

    @property
    def identity(self) -> str:
        """Stable text that tells this location from others, however it is spelled and whoever looks at it."""
        kind = "one" if isinstance(self.naming, SingleBucket) else "each"
        return f"s3 {endpoint_identity(self.access.endpoint_url)} {kind} {self.naming}"

    def __str__(self) -> str:
        return f"{self.naming} at {self.access.endpoint_url or 'AWS'}"


Location: TypeAlias = DiskLocation | S3Location


def disk_identity(root: Path) -> str:
    """Stable text that tells a data folder from other locations, whatever links lead to it."""
    return f"disk {os.path.realpath(root)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Single settings given as options; None where the option was not given."""

    data_dir: str | None = None
    bucket: str | None = None
    bucket_prefix: str | None = None
    bucket_per_org: bool | None = None
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """Both ends of a run, every effective setting with its origin, and what to tell about them.

    `bytes_reads`: where Bytes' own settings point, None where none of them says so.
    """

    source: Location
    target: Location
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    bytes_reads: Location | None = None


DEFAULT_PORTS = {"http": 80, "https": 443}
_AWS_HOST = re.compile(r"s3([.-][a-z0-9-]+)?\.amazonaws\.com")


def endpoint_identity(url: str | None) -> str:
    """The endpoint's stable name: default ports, letter case and AWS's regional hosts make no difference."""
    if url is None:
        return "aws"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _AWS_HOST.fullmatch(host):
        return "aws"
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown_host}{shown_port}{parts.path.rstrip('/')}"


def is_aws(url: str | None) -> bool:
    """Return True for an endpoint at AWS itself; None is AWS' own default."""
    return url is None or (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+=,~{}-]*")


def settings_lines(location: Location) -> tuple[str, ...]:
    """The lines that make Bytes use this location, for its env file; keys are named, never printed."""
    return tuple(_disk_lines(location) if isinstance(location, DiskLocation) else _s3_lines(location))


def _disk_lines(location: DiskLocation) -> Iterator[str]:
    yield f"# remove the lines {BUCKET}=, {BUCKET_PREFIX}= and {BUCKET_PER_ORG}=: while {BUCKET} or {BUCKET_PREFIX} is set, Bytes uses S3"
    yield _line(DATA_DIR, str(location.root))
    modes = {FOLDER_PERMISSION: location.folder_mode, FILE_PERMISSION: location.file_mode}
    for name, mode in modes.items():
        if mode != int(BYTES_DEFAULTS[name], 8):
            yield _line(name, f"{mode:o}")


def _s3_lines(location: S3Location) -> Iterator[str]:
    if isinstance(location.naming, SingleBucket):
        yield _line(BUCKET, location.naming.bucket)
        yield _line(BUCKET_PER_ORG, "false")
    else:
        yield _line(BUCKET_PREFIX, location.naming.prefix)
        yield _line(BUCKET_PER_ORG, "true")
    access = location.access
    known = {ENDPOINT_URL: access.endpoint_url, REGION: access.region, CA_BUNDLE: access.ca_bundle}
    for name, value in known.items():
        if value is not None:
            yield _line(name, value)
    if access.endpoint_url is None:
        yield f"# remove the line {ENDPOINT_URL}=, if there is one: the buckets are at AWS"
    yield "# AWS_ACCESS_KEY_ID= and AWS_SECRET_ACCESS_KEY= of a key for these buckets, unless a profile or role gives them"


def _line(name: str, value: str) -> str:
    """A line that dotenv and systemd read alike."""
    if _PLAIN_VALUE.fullmatch(value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
