"""Every implementation of `Source` and `Target`, with what a contract test needs beside the contract.

What is really there is told by the oracle, not by the code under test.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from migrator.config.locations import S3Access, S3Location, Secret
from migrator.core.entities import RawFile, RawId
from migrator.core.naming import BucketPerOrganization, SingleBucket
from migrator.core.protocols import Source, Target
from migrator.stores.disk.data_folder_setup import make_root
from migrator.stores.disk.lock import Hold, folders_held
from migrator.stores.disk.source import DiskSource
from migrator.stores.disk.target import DiskTarget
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target
from tests import corpus, oracle
from tests.conftest import FreshNames
from tests.fakes import quick_patience
from tests.memory_store import MemoryStore
from tests.servers import S3Server

State = dict[tuple[str, str], tuple[int, str]]
"""(organization, raw id) → (size, SHA-256)"""

S3_KINDS = (pytest.param("moto-one", marks=pytest.mark.slow), "moto-each", "weed-one", "weed-each")
"""Three of the four meet each server, each naming and each lane."""
KINDS = ("memory", "disk", *S3_KINDS)
NOBODY = 65534


def state_of(contents: dict[RawFile, bytes]) -> State:
    return {
        (name.organization, name.raw_id): (len(data), hashlib.sha256(data).hexdigest())
        for name, data in contents.items()
    }


class Backend(ABC):
    """One place and the stores that open it."""

    kind: str
    keeps_unpublished_hidden = True
    has_folders = True

    @abstractmethod
    def source(self) -> Source:
        """The place opened for reading."""

    @abstractmethod
    def target(self) -> Target:
        """The place opened for writing."""

    @abstractmethod
    def save(self, raw_file: RawFile, data: bytes) -> None:
        """Save as Bytes would, over what is there."""

    @abstractmethod
    def delete(self, raw_file: RawFile) -> None: ...

    @abstractmethod
    def add_stray(self, organization: str, name: str) -> None:
        """Put something of this name where the raw files that begin like it are."""

    @abstractmethod
    def add_beside(self, name: str) -> None:
        """Put something beside the organizations, that is none."""

    @abstractmethod
    def state(self) -> State:
        """What Bytes would find."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Temporary files and unfinished uploads."""

    def close(self) -> None:  # noqa: B027 not every place has anything to close
        """Give back what was opened."""


class MemoryBackend(Backend):
    def __init__(self) -> None:
        self.kind = "memory"
        self.store = MemoryStore(index_folders=True)

    def source(self) -> Source:
        return self.store

    def target(self) -> Target:
        return self.store

    def save(self, raw_file: RawFile, data: bytes) -> None:
        self.store.save(raw_file, data)

    def delete(self, raw_file: RawFile) -> None:
        self.store.delete(raw_file)

    def add_stray(self, organization: str, name: str) -> None:
        self.store.add_stray(organization, name, 5)

    def add_beside(self, name: str) -> None:
        self.store.add_beside(name, 5)

    def state(self) -> State:
        return state_of(self.store.contents())

    def leftovers(self) -> list[str]:
        return []


class DiskBackend(Backend):
    """`run` of the target is "mine"."""

    def __init__(self, root: Path) -> None:
        self.kind = "disk"
        self.root = root
        self._opened = contextlib.ExitStack()
        self._target: DiskTarget | None = None

    def source(self) -> DiskSource:
        return self._opened.enter_context(contextlib.closing(DiskSource(self.root)))

    def target(self, run: str = "mine") -> DiskTarget:
        if self._target is None:
            self._opened.enter_context(held(self.root, corpus.FOLDER_MODE))
            self._target = DiskTarget(self.root, folder_mode=corpus.FOLDER_MODE, file_mode=corpus.FILE_MODE, run=run)
            self._opened.enter_context(contextlib.closing(self._target))
        return self._target

    def path(self, raw_file: RawFile) -> Path:
        return self.root / raw_file.organization / raw_file.raw_id[:3] / raw_file.raw_id

    def save(self, raw_file: RawFile, data: bytes) -> None:
        path = self.path(raw_file)
        path.parent.mkdir(mode=corpus.FOLDER_MODE, parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(corpus.FILE_MODE)

    def delete(self, raw_file: RawFile) -> None:
        self.path(raw_file).unlink()

    def add_stray(self, organization: str, name: str) -> None:
        is_hex = len(name) >= 3 and all(letter in "0123456789abcdef" for letter in name[:3])
        folder = self.root / organization / name[:3] if is_hex else self.root / organization
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"stray")

    def add_beside(self, name: str) -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / name).write_bytes(b"stray")

    def state(self) -> State:
        return {name: (found.size, found.sha256) for name, found in oracle.disk_state(self.root).items()}

    def leftovers(self) -> list[str]:
        return sorted(str(path) for path in self.root.rglob(".*") if path.name.endswith(".bytes-migrator"))

    def close(self) -> None:
        self._opened.close()


class S3Backend(Backend):
    """Every server and naming strategy, half of them with libcurl and half without."""

    keeps_unpublished_hidden = False
    has_folders = False

    def __init__(self, kind: str, server: S3Server, names: FreshNames) -> None:
        self.kind = kind
        self.server = server
        self.client = plain_client(server)
        self.is_single = kind.endswith("-one")
        self.is_wired = kind in ("weed-one", "moto-each")
        naming = SingleBucket(names.bucket) if self.is_single else BucketPerOrganization(names.prefix)
        self.location = S3Location(naming=naming, access=access_to(server))
        self._oracle = oracle.Single(names.bucket) if self.is_single else oracle.PerOrganization(names.prefix)
        self._names = names
        self._opened = contextlib.ExitStack()
        self._buckets: set[str] = set()

    def source(self) -> S3Source:
        store = S3Source(self.location, quick_patience(), wired=self.is_wired)
        return self._opened.enter_context(contextlib.closing(store))

    def target(self, *, create_buckets: bool = True) -> S3Target:
        store = S3Target(
            self.location,
            quick_patience(),
            abilities=abilities_of(self.server),
            create_buckets=create_buckets,
            wired=self.is_wired,
        )
        return self._opened.enter_context(contextlib.closing(store))

    def bucket(self, organization: str) -> str:
        """The organization's bucket, made if it is missing."""
        bucket = self.location.naming.bucket_of(organization)
        if bucket not in self._buckets:
            with contextlib.suppress(
                self.client.exceptions.BucketAlreadyOwnedByYou, self.client.exceptions.BucketAlreadyExists
            ):
                self.client.create_bucket(Bucket=bucket)
            self._buckets.add(bucket)
        return bucket

    def save(self, raw_file: RawFile, data: bytes) -> None:
        key = self.location.naming.key_of(raw_file)
        self.client.put_object(Bucket=self.bucket(raw_file.organization), Key=key, Body=data)

    def delete(self, raw_file: RawFile) -> None:
        key = self.location.naming.key_of(raw_file)
        self.client.delete_object(Bucket=self.bucket(raw_file.organization), Key=key)

    def add_stray(self, organization: str, name: str) -> None:
        key = f"{self.location.naming.key_prefix_of(organization)}{name}"
        self.client.put_object(Bucket=self.bucket(organization), Key=key, Body=b"stray")

    def add_beside(self, name: str) -> None:
        if self.is_single:
            self.client.put_object(Bucket=self.bucket(""), Key=name, Body=b"stray")
        else:
            self.client.create_bucket(Bucket=f"{self._names.prefix}{name.lower().replace('_', '-')}")

    def state(self) -> State:
        found = oracle.s3_state(self.client, self._oracle)
        return {name: (seen.size, seen.sha256) for name, seen in found.items()}

    def leftovers(self) -> list[str]:
        prefix = self._names.bucket if self.is_single else self._names.prefix
        return [key for bucket in oracle.buckets(self.client, prefix) for key in oracle.uploads(self.client, bucket)]

    def close(self) -> None:
        self._opened.close()


def access_to(server: S3Server) -> S3Access:
    return S3Access(
        endpoint_url=server.endpoint_url,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=Secret(server.secret_key),
    )


@cache
def plain_client(server: S3Server) -> Any:
    return server.client()


@cache
def abilities_of(server: S3Server) -> Capabilities:
    """What the server was seen to do."""
    location = S3Location(naming=SingleBucket(f"abilities-{server.access_key.lower()}"), access=access_to(server))
    store = S3Target(location, quick_patience(), abilities=Capabilities(), create_buckets=True)
    with contextlib.closing(store):
        store.prepare("any")
        return store.probe("any", "contract")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights; what is open stays open."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def held(root: Path, folder_mode: int, owner: tuple[int, int] | None = None) -> Iterator[None]:
    """Make the data folder if it is missing, and keep every other run out of it, whatever its source, until the block ends.

    `owner`: user and group id of a new data folder; None for the owner of the folder above it.

    Raises LedgerBusy, and CannotStart where the folder cannot be made.
    """
    make_root(root, folder_mode, owner)
    with folders_held([Hold(root=root, alone=True)]):
        yield


def raw_id(digits: str) -> RawId:
    """A raw id that begins with these hex digits (at most 8) and is else the same each time."""
    rest = hashlib.md5(digits.encode()).hexdigest()
    text = digits + rest[len(digits) :]
    return RawId(f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}")
