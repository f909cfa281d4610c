"""Manifests: the list of raw files with their digests that proves a state, for each organization as two files.

``<organization>.sha256`` is what ``sha256sum -c`` reads in a data folder; ``<organization>.ndjson`` has the same raw files as JSON, one on
a line: organization, id, size, sha256, md5, location, verified_at (UTC), how. Both are in the order of the raw ids.

While a verification runs, each shard's rows are a sheet in ``.unfinished`` below the manifest's folder; at the end the sheets are put
together. So no more than a shard's rows are ever in memory, and a verification that goes on finds the sheets of the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, NamedTuple

from migrator.core.entities import INDEX_LENGTH, Digests, RawFile, RawId, Shard, is_raw_id
from migrator.core.errors import CannotStart, MustStop, SettingsError
from migrator.core.naming import disk_path_of, is_organization, raw_file_at_disk_path
from migrator.ledger.directory import sync_folder

SUMS = ".sha256"
ROWS = ".ndjson"
_SHEETS = ".unfinished"
_DIGITS = 16
_LONGEST_LINE = 4096
_SUM = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}
_EXCERPT = 60


class ManifestRow(NamedTuple):
    """One raw file that was proven. `verified_at` in seconds since the epoch."""

    raw_file: RawFile
    digests: Digests
    location: str
    verified_at: float
    how: str

    def as_sum(self) -> str:
        """A line of ``sha256sum``: names with a backslash or a line end are escaped, and the line then begins with a backslash."""
        path = disk_path_of(self.raw_file)
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"{'' if escaped == path else chr(92)}{self.digests.sha256}  {escaped}\n"

    def as_json(self) -> str:
        """A line of the companion, in ASCII."""
        moment = datetime.fromtimestamp(int(self.verified_at), timezone.utc)
        fields = {
            "organization": self.raw_file.organization,
            "id": self.raw_file.raw_id,
            "size": self.digests.size,
            "sha256": self.digests.sha256,
            "md5": self.digests.md5,
            "location": self.location,
            "verified_at": moment.isoformat().replace("+00:00", "Z"),
            "how": self.how,
        }
        return json.dumps(fields) + "\n"


class ManifestShards:
    """The sheets of a manifest's folder. Written by workers, put together by one process at the end.

    A sheet is named by its own digest: should two workers have had one shard, what one of them broke off is not what the other proved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sheets = folder / _SHEETS

    @property
    def shared(self) -> Path:
        """The folder that all workers write their sheets to."""
        return self._sheets

    def prepare(self) -> None:
        """Make the folder, for this user alone, and prove that it can be written.

        Raises:
            CannotStart: If it cannot.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sheets.mkdir(mode=0o700, exist_ok=True)
            probe = self._sheets / "probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise CannotStart(
                "manifest-unwritable",
                f"The manifest's folder {self.folder} cannot be written: {error.strerror or error}.",
                cure="Name another folder with --manifest.",
            ) from error

    def write(self, shard: Shard, rows: Iterable[ManifestRow]) -> str:
        """Write a shard's sheets, durably; returns the digest by which `holds` knows them. Raises MustStop."""
        ordered = sorted(rows, key=lambda row: row.raw_file.raw_id)
        sums = "".join(row.as_sum() for row in ordered).encode()
        lines = "".join(row.as_json() for row in ordered).encode()
        digest = hashlib.sha256(sums + lines).hexdigest()
        with self._explained():
            for kind, data in ((SUMS, sums), (ROWS, lines)):
                with _replacing(self._sheet(shard, digest, kind), secrets.token_hex(4)) as out:
                    out.write(data)
        return digest

    def holds(self, shard: Shard, digest: str) -> bool:
        """Whether an earlier run's sheets of this shard are there, as they were written."""
        try:
            data = b"".join(self._sheet(shard, digest, kind).read_bytes() for kind in (SUMS, ROWS))
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == digest

    def put_together(self, organization: str, digests: Mapping[str, str]) -> None:
        """Make the organization's two files, both or none of each visible at once, of sheets by their shards' prefixes. Raises MustStop."""
        sheets = [(Shard(organization, prefix), digests[prefix]) for prefix in sorted(digests)]
        with self._explained():
            for kind in (SUMS, ROWS):
                with _replacing(self.folder / f"{organization}{kind}") as out:
                    for shard, digest in sheets:
                        with self._sheet(shard, digest, kind).open("rb") as sheet:
                            shutil.copyfileobj(sheet, out)

    def clear(self) -> None:
        """Take the sheets away: the manifest is whole."""
        shutil.rmtree(self._sheets, ignore_errors=True)

    def _sheet(self, shard: Shard, digest: str, kind: str) -> Path:
        return self._sheets / f"{shard.organization}.{shard.prefix}.{digest[:_DIGITS]}{kind}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MustStop(
                "manifest-unwritable",
                f"The manifest in {self.folder} cannot be written: {error.strerror or error}.",
                cure="Make room, then rerun the same command to resume.",
            ) from error


@contextmanager
def _replacing(path: Path, mark: str = "") -> Iterator[IO[bytes]]:
    """A file of mode 600 that becomes visible under its name when it is whole and durable. `mark` parts those who write at once."""
    beside = path.with_name(f".{path.name}{mark}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(descriptor, 0o600)
        yield out
        out.flush()
        os.fsync(descriptor)
    beside.replace(path)
    sync_folder(path.parent)


# --- reading -------------------------------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """What a manifest says of a raw file. `size` is None in a list of ``sha256sum``."""

    raw_file: RawFile
    sha256: str
    size: int | None


class Block(NamedTuple):
    """Where an organization's lines are in a file, ascending by raw id. `bytes` are those of the raw files, 0 where they are not told."""

    path: Path
    start: int
    end: int
    files: int
    bytes: int


class Manifest:
    """A manifest that was looked through and is sound: each line is one, in order, no raw file twice."""

    def __init__(self, path: Path) -> None:
        """Look through all of it: form, order and digests.

        Raises:
            SettingsError: If this is no manifest, is an empty one, or names an organization twice.
            CannotStart: If it cannot be read.
        """  # noqa: DOC501 made by _unsound
        self.path = path
        digest = hashlib.sha256()
        self.blocks: dict[str, Block] = {}
        try:
            for file in _files(path):
                for organization, block in _blocks(file, digest):
                    if organization in self.blocks:
                        raise _unsound(file, 0, f"the organization {organization!r} is in it twice, or in two files")
                    self.blocks[organization] = block
        except OSError as error:
            raise CannotStart(
                "manifest-unreadable", f"The manifest {path} cannot be read: {error.strerror or error}."
            ) from error
        if not self.blocks:
            raise SettingsError("manifest-empty", f"There is no raw file in the manifest {path}.")
        self.digest = digest.hexdigest()
        self.tells_sizes = all(block.path.suffix == ROWS for block in self.blocks.values())

    @property
    def identity(self) -> str:
        """Tells what is in this manifest from what is in any other, as a location's identity does."""
        return f"manifest {self.digest}"

    def __str__(self) -> str:
        return f"the manifest {self.path}"

    def lines(self, organization: str, start: str = "") -> Iterator[Kept]:
        """Yield the organization's lines from the first raw id that is not below `start`.

        Raises:
            MustStop: If the file cannot be read any more, or is not what it was when this began.
        """
        block = self.blocks.get(organization)
        if block is None:
            return
        try:
            with block.path.open("rb") as lines:
                position = _first_at(lines, block, start)
                lines.seek(position)
                while position < block.end:
                    line = lines.readline(_LONGEST_LINE + 1)
                    position += len(line)
                    kept = _read(block.path, line)
                    if isinstance(kept, str) or kept.raw_file.organization != organization:
                        raise MustStop(
                            "manifest-changed",
                            f"The manifest {block.path} has changed since this began.",
                        )
                    if kept.raw_file.raw_id >= start:
                        yield kept
        except OSError as error:
            raise MustStop(
                "manifest-unreadable",
                f"The manifest {block.path} cannot be read any more: {error.strerror or error}.",
            ) from error


def _files(path: Path) -> list[Path]:
    """Return the file itself, or those of a folder: the lists with sizes where there are any.

    Raises:
        SettingsError: If the folder has no manifest.
    """
    if not path.is_dir():
        return [path]
    for kind in (ROWS, SUMS):
        found = sorted(file for file in path.iterdir() if file.suffix == kind and not file.name.startswith("."))
        if found:
            return found
    raise SettingsError(
        "manifest-empty",
        f"There is no manifest in {path}.",
        cure=f"Name a folder with *{ROWS} or *{SUMS} files, or one such file.",
    )


def _blocks(path: Path, digest: hashlib._Hash) -> Iterator[tuple[str, Block]]:
    organization, start, files, size, last = "", 0, 0, 0, ""
    position = number = 0
    with path.open("rb") as lines:
        while line := lines.readline(_LONGEST_LINE + 1):
            number += 1
            digest.update(line)
            kept = _read(path, line)
            if isinstance(kept, str):
                raise _unsound(path, number, kept)
            if kept.raw_file.organization != organization:
                if files:
                    yield organization, Block(path, start, position, files, size)
                organization, start, files, size, last = kept.raw_file.organization, position, 0, 0, ""
            if kept.raw_file.raw_id <= last:
                raise _unsound(path, number, "raw ids do not ascend; for a list of sha256sum: sort -k2")
            files, size, last = files + 1, size + (kept.size or 0), kept.raw_file.raw_id
            position += len(line)
    if files:
        yield organization, Block(path, start, position, files, size)


def _unsound(path: Path, number: int, why: str) -> SettingsError:
    where = f"Line {number} of {path}" if number else str(path)
    return SettingsError(
        "manifest-unsound",
        f"{where} cannot be used: {why}.",
        why="A damaged manifest proves nothing.",
        cure="Give one as `verify --level content --manifest` or sha256sum writes it.",
    )


def _read(path: Path, line: bytes) -> Kept | str:
    """What the line says, or what is wrong with it."""
    if len(line) > _LONGEST_LINE:
        return "it is too long"
    try:
        text = line.decode().removesuffix("\n")
    except UnicodeDecodeError:
        return "it is no text"
    return (_read_row if text.startswith("{") else _read_sum)(text)


def _read_sum(text: str) -> Kept | str:
    match = _SUM.fullmatch(text)
    if match is None:
        return f"it is no line of a manifest: {text[:_EXCERPT]!r}"
    path = match[3].removeprefix("./")
    if match[1]:
        path = re.sub(r"\\([\\nr])", lambda found: {"\\": "\\", "n": "\n", "r": "\r"}[found[1]], path)
    raw_file = raw_file_at_disk_path(path)
    if raw_file is None:
        return f"it names no raw file of Bytes (organization/{'x' * INDEX_LENGTH}/id): {path[:_EXCERPT]!r}"
    return Kept(raw_file, match[2], None)


def _read_row(text: str) -> Kept | str:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return f"it is no JSON: {text[:_EXCERPT]!r}"
    match found:
        case {"organization": str(organization), "id": str(raw_id), "size": int(size), "sha256": str(sha256)}:
            is_sound = (
                is_organization(organization)
                and is_raw_id(raw_id)
                and size >= 0
                and not isinstance(size, bool)
                and _HEX["sha256"].fullmatch(sha256)
            )
            if is_sound:
                return Kept(RawFile(organization, RawId(raw_id)), sha256, size)
    return f"it tells no raw file of Bytes: {text[:_EXCERPT]!r}"


def _first_at(lines: IO[bytes], block: Block, start: str) -> int:
    """Where to begin reading for `start`: at the start of a line that is not behind it. By halves; lines ascend."""
    low, high = block.start, block.end
    while high - low > _LONGEST_LINE and start:
        middle = (low + high) // 2
        lines.seek(middle)
        skipped = len(lines.readline(_LONGEST_LINE + 1))
        line = lines.readline(_LONGEST_LINE + 1)
        kept = _read(block.path, line)
        if middle + skipped >= high or isinstance(kept, str):
            high = middle
        elif kept.raw_file.raw_id < start:
            low = middle + skipped
        else:
            high = middle
    return low
