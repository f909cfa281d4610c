"""What is to go, with its digests, as `verify` writes manifests: durable before anything is deleted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from migrator.checks.manifest_writer import ManifestRow, ManifestShards
from migrator.checks.prune.deletion_errors import surprise
from migrator.core.entities import Digests, RawFile, RawId, Shard
from migrator.core.errors import MustStop
from migrator.ledger.directory import sync_folder
from migrator.sync.manifest_reader import ROWS


class ManifestOfRun:
    """The folder of one run. Workers write shards, the coordinator puts them together and reads them.

    A context manager: leaving it takes the folder away, unless `keep` was called, for then nothing that it names was deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = ManifestShards(folder)
        self._is_to_go = False

    def __enter__(self) -> ManifestOfRun:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_to_go:
            shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self) -> None:
        """Leave the folder where it is from here on: what it names is going."""
        self._is_to_go = False

    def prepare(self) -> None:
        """Make the folder, for this user alone.

        Raises:
            MustStop: If it cannot be made.
        """  # noqa: DOC501 made by _unwritable
        try:
            self.folder.mkdir(mode=0o700, parents=True)
            self._is_to_go = True
            self._shards.shared.mkdir(mode=0o700)
            for folder in (self.folder.parent, self.folder.parent.parent):
                sync_folder(folder)
        except OSError as error:
            raise _unwritable(self.folder, error.strerror or str(error)) from error

    def write(self, shard: Shard, rows: Iterable[ManifestRow]) -> str:
        """Write a shard's rows, durably; return the digest that `put_together` asks for.

        Raises:
            MustStop: If they cannot be written.
        """  # noqa: DOC501 made by _unwritable
        try:
            return self._shards.write(shard, rows)
        except MustStop as error:
            raise _unwritable(self.folder, error.what) from error

    def put_together(self, digests: Mapping[str, Mapping[str, str]]) -> None:
        """Make each organization's two files, durably, from the digests of its shards by their prefixes.

        Raises:
            MustStop: If they cannot be written.
        """  # noqa: DOC501 made by _unwritable
        try:
            for organization, of_shards in digests.items():
                self._shards.put_together(organization, of_shards)
        except MustStop as error:
            raise _unwritable(self.folder, error.what) from error
        self._shards.clear()

    def rows(self, organization: str) -> Iterator[tuple[RawFile, Digests]]:
        """Yield what was written, in order.

        Raises:
            MustStop: If it cannot be read any more.
        """  # noqa: DOC501 made by surprise
        path = self.folder / f"{organization}{ROWS}"
        try:
            with path.open(encoding="ascii") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield RawFile(organization, RawId(row["id"])), Digests(row["size"], row["sha256"], row["md5"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not what was written"
            raise surprise(f"The manifest {path} cannot be read any more ({said}).") from error


def _unwritable(path: Path, said: str) -> MustStop:
    return MustStop(
        "manifest-unwritable",
        f"The manifest {path} cannot be written ({said}).",
        why="Nothing is deleted without that list.",
        cure="Make room in the state folder, or name another with --state-dir. Nothing was deleted.",
    )
