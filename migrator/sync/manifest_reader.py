"""Manifests: the list of raw files with their digests that proves a state, for each organization as two files.

``<organization>.sha256`` is what ``sha256sum -c`` reads in a data folder; ``<organization>.ndjson`` has the same raw files as JSON, one on
a line: organization, id, size, sha256, md5, location, verified_at (UTC), how. Both are in the order of the raw ids.

While a verification runs, each shard's rows are a sheet in ``.unfinished`` below the manifest's folder; at the end the sheets are put
together. So no more than a shard's rows are ever in memory, and a verification that goes on finds the sheets of the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from migrator.core.entities import INDEX_LENGTH, RawFile, RawId, is_raw_id
from migrator.core.errors import CannotStart, MustStop, SettingsError
from migrator.core.naming import is_organization, raw_file_at_disk_path

SUMS = ".sha256"
ROWS = ".ndjson"
_LONGEST_LINE = 4096
_SUM = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}
_EXCERPT = 60


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
