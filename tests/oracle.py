"""What is really there, told without this project's own code: nothing here imports it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.plain_s3 import plain_way_of

RawFileName = tuple[str, str]
"""(organization, raw id)"""

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLUG = re.compile(r"[-\w]{1,32}")

Path = str | os.PathLike[str]


class OnDisk(NamedTuple):
    size: int
    sha256: str
    mode: int


class InBucket(NamedTuple):
    size: int
    sha256: str


# --- disk ------------------------------------------------------------------------------------------------------------


def disk_state(root: Path) -> dict[RawFileName, OnDisk]:
    """Every raw file that Bytes would find below the data folder, its content read."""
    return {
        name: OnDisk(*_hash_file(path), stat.S_IMODE(os.lstat(path).st_mode)) for name, path in disk_paths(root).items()
    }


def disk_paths(root: Path) -> dict[RawFileName, str]:
    """Where each raw file is; nothing is read, links are not followed."""
    return {
        (organization.name, found.name): found.path
        for organization in _folders(os.fspath(root))
        if _is_slug(organization.name)
        for index in _folders(organization.path)
        for found in _listed(index.path)
        if found.is_file(follow_symlinks=False) and _CANONICAL.fullmatch(found.name) and found.name[:3] == index.name
    }


def disk_md5(root: Path) -> dict[RawFileName, tuple[int, str]]:
    """As `s3_listing` gives it for objects that were put whole."""
    return {name: _hash_file(path, "md5") for name, path in disk_paths(root).items()}


def folder_modes(root: Path) -> Counter[str]:
    """How many folders below the root (not itself) have which mode, in octal."""
    return Counter(
        f"{stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode):o}"
        for folder, names, _ in os.walk(root)
        for name in names
        if not os.path.islink(os.path.join(folder, name))
    )


def _is_slug(name: str) -> bool:
    return _SLUG.fullmatch(name) is not None and name == name.lower()


def _folders(path: str) -> list[os.DirEntry[str]]:
    return [entry for entry in _listed(path) if entry.is_dir(follow_symlinks=False)]


def _listed(path: str) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing if it is gone, which a poll of a running command may meet."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _hash_file(path: str, algorithm: str = "sha256") -> tuple[int, str]:
    digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
    with open(path, "rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


# --- S3 --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Single:
    """One bucket, keys ``<organization>/<id>``."""

    bucket: str


@dataclass(frozen=True)
class PerOrganization:
    """Buckets ``<prefix><organization>``, keys ``<id>``."""

    prefix: str


Naming = Single | PerOrganization


def s3_state(client: Any, naming: Naming, *, workers: int = 4) -> dict[RawFileName, InBucket]:
    """Every raw file that Bytes would find there, its content read back."""
    places = {name: (bucket, key) for name, (bucket, key, _, _) in _s3_raw_files(client, naming).items()}
    with plain_way_of(client) as plain:
        if plain is not None:
            digests = plain.digests(list(places.values()), workers=workers)
            return {name: InBucket(*found) for name, found in zip(places, digests, strict=True)}
    with ThreadPoolExecutor(workers) as pool:
        contents = pool.map(lambda place: _hash_object(client, *place), places.values())
        return dict(zip(places, contents, strict=True))


def s3_listing(client: Any, naming: Naming) -> dict[RawFileName, tuple[int, str]]:
    """(size, ETag) as listed; cheaper than `s3_state`, and on real servers the MD5 of what was put whole."""
    return {name: (size, etag) for name, (_, _, size, etag) in _s3_raw_files(client, naming).items()}


def buckets(client: Any, prefix: str = "") -> list[str]:
    return sorted(found["Name"] for found in client.list_buckets()["Buckets"] if found["Name"].startswith(prefix))


def keys(client: Any, bucket: str) -> list[str]:
    """All keys of a bucket, raw files or not; none if there is no such bucket."""
    return sorted(key for key, _, _ in _objects(client, bucket))


def uploads(client: Any, bucket: str) -> list[str]:
    """Keys of multipart uploads that were begun and neither completed nor aborted."""
    return sorted(upload["Key"] for upload in unfinished_uploads(client, bucket))


def unfinished_uploads(client: Any, bucket: str) -> list[Mapping[str, Any]]:
    """Those uploads as the server lists them: `Key`, `UploadId`, `Initiated`."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    try:
        return [upload for page in pages for upload in page.get("Uploads", [])]
    except client.exceptions.NoSuchUpload:  # so rclone says that there is none
        return []


def s3_snapshot(client: Any, *prefixes: str) -> dict[tuple[str, str], tuple[int, str, str]]:
    """All buckets whose name starts with one of the prefixes, and all that is in them, for telling that nothing was written."""
    found: dict[tuple[str, str], tuple[int, str, str]] = {}
    for bucket in buckets(client):
        if bucket.startswith(prefixes):
            found[bucket, ""] = (0, "", "")
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    found[bucket, entry["Key"]] = (entry["Size"], entry["ETag"], str(entry["LastModified"]))
    return found


def _s3_raw_files(client: Any, naming: Naming) -> dict[RawFileName, tuple[str, str, int, str]]:
    found = {}
    if isinstance(naming, Single):
        for key, size, etag in _objects(client, naming.bucket):
            organization, _, raw_id = key.partition("/")
            if _is_slug(organization) and _CANONICAL.fullmatch(raw_id):
                found[organization, raw_id] = (naming.bucket, key, size, etag)
        return found
    for bucket in buckets(client, naming.prefix):
        organization = bucket.removeprefix(naming.prefix)
        for key, size, etag in _objects(client, bucket):
            if _is_slug(organization) and _CANONICAL.fullmatch(key):
                found[organization, key] = (bucket, key, size, etag)
    return found


def _objects(client: Any, bucket: str) -> Iterator[tuple[str, int, str]]:
    with plain_way_of(client) as plain:
        if plain is not None:
            yield from plain.objects(bucket)
            return
    if bucket not in buckets(client):
        return
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield entry["Key"], entry["Size"], entry["ETag"].strip('"')


def _hash_object(client: Any, bucket: str, key: str) -> InBucket:
    digest, size = hashlib.sha256(), 0
    answer = client.get_object(Bucket=bucket, Key=key)
    for block in answer["Body"].iter_chunks(1 << 20):
        digest.update(block)
        size += len(block)
    assert size == answer["ContentLength"], f"{bucket}/{key}: {size} of {answer['ContentLength']} bytes came"
    return InBucket(size, digest.hexdigest())


# --- comparing -------------------------------------------------------------------------------------------------------

State = Mapping[RawFileName, Sequence[Any]]


def assert_same_contents(expected: State, found: State) -> None:
    """Both hold the same raw files with the same sizes and digests; modes are not looked at."""
    _assert_equal(
        {name: tuple(seen[:2]) for name, seen in expected.items()},
        {name: tuple(seen[:2]) for name, seen in found.items()},
    )


def assert_same(expected: State, found: State) -> None:
    """As `assert_same_contents`, and modes too."""
    _assert_equal(
        {name: tuple(seen) for name, seen in expected.items()},
        {name: tuple(seen) for name, seen in found.items()},
    )


def _assert_equal(expected: Mapping[Any, Any], found: Mapping[Any, Any], what: str = "") -> None:
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    altered = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    if not (missing or extra or altered):
        return
    lines = [
        f"{what}expected {len(expected)}, found {len(found)}: "
        f"{len(missing)} missing, {len(extra)} extra, {len(altered)} altered"
    ]
    lines += [f"  missing {name!r}" for name in missing[:5]]
    lines += [f"  extra   {name!r}" for name in extra[:5]]
    lines += [f"  altered {name!r}: {expected[name]} is now {found[name]}" for name in altered[:5]]
    raise AssertionError("\n".join(lines))


def tree_snapshot(root: Path) -> dict[bytes, tuple[int, int, int, int]]:
    """Everything below and with the root, as (mode with type, size, modification time in ns, inode); empty if it is not there."""
    top = os.fsencode(root)
    if not os.path.lexists(top):
        return {}
    paths = [top]
    for folder, folders, files in os.walk(top):
        paths += [os.path.join(folder, name) for name in (*folders, *files)]
    return {path: _seen(path) for path in paths}


def _seen(path: bytes) -> tuple[int, int, int, int]:
    status = os.lstat(path)
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino


@contextlib.contextmanager
def nothing_written(*roots: Path) -> Iterator[None]:
    """Whatever happens within, these trees stay as they are (and absent, if they are)."""
    before = [tree_snapshot(root) for root in roots]
    yield
    for root, snapshot in zip(roots, before, strict=True):
        _assert_equal(snapshot, tree_snapshot(root), f"{os.fspath(root)!r} was written to: ")


# --- totals ----------------------------------------------------------------------------------------------------------

OUTCOMES = ("copied", "present", "conflict", "failed", "refused", "vanished", "pending")


def assert_adds_up(document: Mapping[str, Any]) -> None:
    """The identity of the totals in ``--json``, in each row, over all rows, in files and in bytes."""
    rows, totals = document["organizations"], document["totals"]
    outcomes = [("missing" if name == "copied" else name) for name in OUTCOMES] if document["dry_run"] else OUTCOMES
    for row in [*rows, totals]:
        who = row.get("organization", "totals")
        for unit in ("files", "bytes"):
            parts = {name: row[name][unit] for name in outcomes}
            assert row["discovered"][unit] == sum(parts.values()), f"{who}, {unit}: {row['discovered']} is not {parts}"
    for name in ("discovered", "missing", *OUTCOMES):
        for unit in ("files", "bytes"):
            added = sum(row[name][unit] for row in rows)
            assert totals[name][unit] == added, f"{name} {unit}: rows add up to {added}, totals say {totals[name]}"
    zero = "copied" if document["dry_run"] else "missing"
    assert totals[zero] == {"files": 0, "bytes": 0}, f"{zero} must be 0 here: {totals[zero]}"
