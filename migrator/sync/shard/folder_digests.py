"""What is kept of an index folder whose raw files are at the target: two digests, and how they are compared with a later look. Pure.

The source's digest is over id, size, times, inode and ETag of each raw file: whatever changes a file changes it. The target's is over id,
size and mark. Files are left out of both while they are too young to be known as complete; the newest change time tells a later look
which files the digests are about. 48 bits tell any accident apart; who forges a ledger is found by `verify`, which never uses this.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from migrator.core.entities import INDEX_LENGTH, Entry, FinishedFolder, Pair

_DIGEST_BYTES = 6
"""A ledger has 4,096 folders for each organization, and is to stay small."""
_LISTED = "%s %s %s %s %s %s\n"
"""All fields of an entry."""


def index_of(listed: Entry | Pair) -> str:
    """The name of the index folder that an entry or a pair belongs to."""
    return listed[0][:INDEX_LENGTH]


def source_digest(entries: Iterable[Entry]) -> str:
    """Tells this state of these raw files of the source from any other; they come in ascending order. In base64."""
    return _source_digest([_LISTED % entry for entry in entries])


def _source_digest(listed: Iterable[str]) -> str:
    return _text(hashlib.blake2b("".join(listed).encode(), digest_size=_DIGEST_BYTES).digest())


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def target_number(raw_id: str, size: int, version: str) -> int:
    """One raw file's part of a target's digest, which is the sum of these numbers: outcomes come in any order."""
    listed = f"{raw_id} {size} {version}".encode()
    return int.from_bytes(hashlib.blake2b(listed, digest_size=_DIGEST_BYTES).digest(), "big")


def target_digest(numbers: Iterable[int]) -> str:
    """The digest in base64."""
    return _text((sum(numbers) % (1 << 8 * _DIGEST_BYTES)).to_bytes(_DIGEST_BYTES, "big"))


class Parted(NamedTuple):
    """The raw files of a folder: those that it was finished with, and those that are new since, or changed."""

    known: list[Entry]
    others: list[Entry]


def parted(finished: FinishedFolder, entries: Sequence[Entry]) -> Parted | None:
    """The folder's present raw files in two parts; None if any that it was finished with is not as it was then."""
    newest = finished.newest_ns
    known = [entry for entry in entries if entry.changed_ns <= newest]
    if len(known) != finished.files or source_digest(known) != finished.source:
        return None
    if len(known) == len(entries):
        return Parted(known, [])
    return Parted(known, [entry for entry in entries if entry.changed_ns > newest])


def holds(finished: FinishedFolder, targets: Iterable[Entry | None]) -> bool:
    """Whether the target has the folder's raw files as this program left or found them: names, sizes and marks."""
    present = [entry for entry in targets if entry is not None]
    if len(present) != finished.files:
        return False
    return target_digest(target_number(entry.raw_id, entry.size, entry.version) for entry in present) == finished.target


@dataclass(slots=True)
class FolderWork:
    """An index folder while a pass works through it: what has to be known to call it finished.

    `was_own`: all that is at the target under names of the source is this program's own, as the ledger knows. `own_up_to_ns`: so is what
    did not change at the source since then; -1 where nothing is.
    """

    prefix: str
    is_open: bool = True
    was_own: bool = False
    own_up_to_ns: int = -1
    newest_ns: int = 0
    _scanned: int = 0
    _listed: list[str] = field(default_factory=list)
    _files: int = 0
    _bytes: int = 0
    _target: int = 0
    _is_own: bool = True

    def scanned(self, entry: Entry) -> None:
        """Take down a raw file of the source that is old enough; they come in ascending order."""
        self._scanned += 1
        self._listed.append(_LISTED % entry)
        self.newest_ns = max(self.newest_ns, entry.changed_ns)

    def at_target(self, entry: Entry, version: str, *, is_own: bool) -> None:
        """Take down that this one is at the target, with that mark. In any order."""
        self._files += 1
        self._bytes += entry.size
        self._target += target_number(entry.raw_id, entry.size, version)
        self._is_own = self._is_own and is_own
        self.is_open = self.is_open and bool(version)

    def finished(self, organization: str) -> FinishedFolder | None:
        """The folder, if each raw file that is old enough is at the target."""
        if not self.is_open or not self._files or self._files != self._scanned:
            return None
        return FinishedFolder(
            organization=organization,
            prefix=self.prefix,
            newest_ns=self.newest_ns,
            source=_source_digest(self._listed),
            target=target_digest([self._target]),
            is_own=self._is_own,
            files=self._files,
            bytes=self._bytes,
        )
