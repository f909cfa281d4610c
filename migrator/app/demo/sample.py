"""Sample stores: made up, or copied from the reader's own; in Bytes' layout and with Bytes' modes, and digests of all that lies there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from migrator.core.entities import Entry, RawFile, RawId, Shard
from migrator.core.errors import SettingsError, StoreError
from migrator.core.naming import disk_path_of
from migrator.core.notices import ignore_notice
from migrator.stores.disk.source import DiskSource

FOLDER_MODE = 0o740
FILE_MODE = 0o640
LARGE = 64 << 20
OWN_FILES = 500
OWN_BYTES = 256_000_000

_SHARES = {"acme": 0.55, "bakkerij-jansen": 0.25, "gemeente-noord": 0.15, "waterschap": 0.05}
_MEDIAN, _SPREAD, _LONGEST = 8_000, 1.2, 2_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStore:
    """A data folder made for the demo. `strays` are paths below it that are no raw files; `left_out` says that a cap was met."""

    root: Path
    organizations: int
    files: int
    bytes: int
    strays: tuple[str, ...] = ()
    left_out: bool = False


def make_up(root: Path, files: int) -> DemoStore:
    """Write `files` raw files for four organizations, one of them of 64 MiB, and some strays. The same ones each time."""
    generator = random.Random(2_000)  # noqa: S311 sample content, no secret
    _make_folder(root)
    size = 0
    for organization, count in _spread(files).items():
        for number in range(count):
            large = organization == next(iter(_SHARES)) and number == 0
            raw_file = RawFile(organization, _new_raw_id(generator))
            size += _write(root, raw_file, _large(generator) if large else iter([_scan_result(generator)]))
    strays = tuple(_add_strays(root, generator))
    return DemoStore(root=root, organizations=len(_SHARES), files=files, bytes=size, strays=strays)


def copy_from(data_dir: Path, root: Path) -> DemoStore:
    """Copy some raw files of each organization, at most 500 and 256 MB in all; only reads in `data_dir`.

    Raises:
        SettingsError: If the folder cannot be read.
    """
    try:
        source = DiskSource(data_dir)
        try:
            return _copy_from(source, data_dir, root)
        finally:
            source.close()
    except StoreError as error:
        raise SettingsError(
            error.name, error.what, why=error.why, cure="Run this as a user who may read it."
        ) from error


def tree_of(root: Path, strays: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """Every folder and file below, but for the strays, with its mode and its SHA-256. Knows nothing of how files are migrated."""
    ignored = frozenset(strays)
    found = {".": (_mode(root), "folder")}
    for folder, folders, files in os.walk(root):
        below = Path(folder)
        found.update({str((below / name).relative_to(root)): (_mode(below / name), "folder") for name in folders})
        paths = ((str((below / name).relative_to(root)), below / name) for name in files)
        found.update({name: (_mode(path), _sha256(path)) for name, path in paths if name not in ignored})
    return found


def _spread(files: int) -> dict[str, int]:
    counts = {organization: max(1, int(files * share)) for organization, share in _SHARES.items()}
    first = next(iter(counts))
    counts[first] += files - sum(counts.values())
    return counts


def _new_raw_id(generator: random.Random) -> RawId:
    return RawId(str(uuid.UUID(int=generator.getrandbits(128), version=4)))


def _scan_result(generator: random.Random) -> bytes:
    """What a scanner might have answered; now and then nothing at all."""
    if generator.random() < 0.01:
        return b""
    size = min(_LONGEST, int(generator.lognormvariate(0, _SPREAD) * _MEDIAN))
    head = json.dumps({"host": f"192.0.2.{generator.randrange(256)}", "port": 443, "state": "open"}).encode()
    return head + b"\n" + generator.randbytes(size // 2).hex().encode()


def _large(generator: random.Random) -> Iterator[bytes]:
    for _ in range(LARGE // _CHUNK):
        yield generator.randbytes(_CHUNK)


def _write(root: Path, raw_file: RawFile, chunks: Iterator[bytes]) -> int:
    path = root / disk_path_of(raw_file)
    for folder in (path.parent.parent, path.parent):
        _make_folder(folder)
    with path.open("wb") as file:
        size = sum(file.write(chunk) for chunk in chunks)
    path.chmod(FILE_MODE)
    return size


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(FOLDER_MODE)


def _add_strays(root: Path, generator: random.Random) -> Iterator[str]:
    indexes = sorted((root / "acme").iterdir())
    first, last = indexes[0].relative_to(root), indexes[-1].relative_to(root)
    raw_id = _new_raw_id(generator)
    shouted = f"{first.name}{raw_id[3:]}".upper()
    misplaced = next(other for other in (raw_id, "000" + raw_id[3:], "fff" + raw_id[3:]) if other[:3] != last.name)
    for path, content in (
        ("notes.txt", b"beside the organizations\n"),
        (f"{first}/{shouted}", b"upper case\n"),
        (f"{first}/.{raw_id}.tmp", b"left behind by an editor\n"),
        (f"{last}/{misplaced}", b"in a wrong index folder\n"),
    ):
        (root / path).write_bytes(content)
        yield path


def _copy_from(source: DiskSource, data_dir: Path, root: Path) -> DemoStore:
    organizations = list(islice(source.organizations(ignore_notice), OWN_FILES))
    _make_folder(root)
    files, size, left_out = 0, 0, False
    for number, organization in enumerate(organizations):
        share = -(-(OWN_FILES - files) // (len(organizations) - number))
        for entry in source.scan(Shard(organization), ignore_notice):
            if share == 0 or size + entry.size > OWN_BYTES:
                left_out = True
                if share == 0:
                    break
                continue
            size += _copy(source, RawFile(organization, entry.raw_id), entry, root)
            files += 1
            share -= 1
    if not files:
        raise SettingsError(
            "source-empty",
            f"There is no raw file at {data_dir} that could be copied.",
            why="The demo needs some raw files.",
            cure="Give the folder that BYTES_DATA_DIR names, or leave out --data-dir: then a sample is made up.",
        )
    there = sum(1 for _ in root.iterdir())
    return DemoStore(root=root, organizations=there, files=files, bytes=size, left_out=left_out)


def _copy(source: DiskSource, raw_file: RawFile, entry: Entry, root: Path) -> int:
    with source.open(raw_file, entry) as content:
        size = _write(root, raw_file, iter(lambda: content.read(_CHUNK), b""))
        content.finish()
    return size


def _mode(path: Path) -> str:
    return f"{path.lstat().st_mode & 0o777:o}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()
