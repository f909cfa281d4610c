"""What prune reads, asks and deletes through: both ends, a running Bytes, and the source opened for deleting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.checks.content_proof import ReadsWhole
from migrator.checks.prune.deletion_errors import same_place
from migrator.core.entities import Entry, RawFile
from migrator.core.errors import StoreError
from migrator.core.protocols import Source
from migrator.transfer.batch_sink import FastLane


class Asks(Protocol):
    """Asks whether raw files can be read, where they have to be read. Raises MigratorError at the first one that cannot."""

    def before(self, raw_files: Sequence[RawFile]) -> None:
        """Ask for raw files of which none was deleted yet."""
        ...

    def after(self, raw_files: Sequence[RawFile]) -> None:
        """Ask for raw files that were deleted at the source."""
        ...


class Remover(Protocol):
    """The source, opened for deleting from it. Whoever holds one has proven what it deletes. Its methods raise StoreError.

    `deletes_one_by_one` is True once a server refused to delete many raw files with one request.
    """

    deletes_one_by_one: bool

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Delete raw files that are still as their entries say; answers each once, with what kept it or None."""
        ...

    def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
        """Put something beside a raw file under a new name that is no raw file's.

        Returns it as what a store at the same place would find, and what takes it away again.
        """
        ...

    def remove_empty_folders(self) -> int:
        """Remove the folders that deletions since the last call left empty; how many. None where a store has no folders."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends as they are read; `near_source` and `near_target` are those that are disks, which give small raw files in one go.

    `lane` reads and compares small raw files where an end is on S3, and gives both digests; `lane_again`, for the second proof, gives the
    SHA-256 alone. Without them, threads do.

    `settle` brings what lies at the target to its medium, where it may still be in this machine's memory alone. Raises StoreError.
    `is_one_folder` says whether the part of the source that a raw file is in is the target's, too, as far as can be known without
    writing.
    """

    source: Source
    target: Source
    near_source: ReadsWhole | None = None
    near_target: ReadsWhole | None = None
    lane: FastLane | None = None
    lane_again: FastLane | None = None
    settle: Callable[[], None] = lambda: None
    folder_of: Callable[[RawFile], str] = lambda raw_file: raw_file.organization
    """Names the part of the source that could be the target's under another name: a mount can lead there from any index folder."""
    is_one_folder: Callable[[RawFile], bool] = lambda raw_file: False
    read_by_bytes: Sequence[tuple[str, Source]] = ()
    """Where Bytes reads, in words and as a store, if that may be the source under another name."""


class Folders:
    """The parts of the source that were met, of which the last one may come again."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._last = ""

    def is_new(self, raw_file: RawFile) -> bool:
        """Return True if the last raw file asked about is in another part of the source than this one."""
        folder = self._ends.folder_of(raw_file)
        is_new, self._last = folder != self._last, folder
        return is_new

    def refuse_one(self, raw_file: RawFile) -> None:
        """Look whether the part that this raw file is in is one place under two names.

        Raises:
            MustStop: If it is.
        """  # noqa: DOC501 made by same_place
        if self._ends.is_one_folder(raw_file):
            raise same_place(
                f"{self._ends.source.describe(raw_file)} and {self._ends.target.describe(raw_file)} are in one and the same folder."
            )
