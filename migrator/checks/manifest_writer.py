"""A manifest as it is written: a part for each shard, and those of an organization put together at the end."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, NamedTuple

from migrator.config.locations import DiskLocation, Location
from migrator.core.entities import Digests, RawFile, Shard
from migrator.core.errors import CannotStart, MustStop, SettingsError
from migrator.core.naming import disk_path_of
from migrator.ledger.directory import sync_folder
from migrator.sync.manifest_reader import ROWS, SUMS

_SHEETS = ".unfinished"
_DIGITS = 16


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


def refuse_manifest_inside(folder: Path, locations: tuple[Location, ...]) -> None:
    """Refuse a folder for a manifest within a data folder.

    Raises:
        SettingsError: If it lies in one of these locations.
    """
    for location in locations:
        if isinstance(location, DiskLocation) and folder.resolve().is_relative_to(location.root.resolve()):
            raise SettingsError(
                "manifest-inside-data",
                f"The manifest's folder {folder} lies in the data folder {location.root}.",
                why="Its files would be strays there.",
                cure="Name a folder elsewhere with --manifest.",
            )
