"""A proof of one raw file by reading both ends in full, now. Nothing here can write, by type.

For whoever needs one at this moment, as `prune` does before it deletes. Its `is_proven` is the only thing to go by::

    proof = prove_content(raw_file, source, source_entry, target, target_entry)   # raises StoreError
    if proof.is_proven: …            # proof.digests has size, sha256 and md5; proof.entry the source's state that was read
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from migrator.core.entities import Digests, Entry, RawFile
from migrator.core.equality import CHUNK, EtagCheck, ProofKind, refuse_changed, size_if_equal
from migrator.core.errors import NotTheSame
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Content, Reads
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.sync.shard.deciding import different_size

_HASHING = {"sha256": hashlib.sha256, "md5": hashlib.md5}
Hashes = tuple[Literal["sha256", "md5"], ...]
"""Which digests of a content are wanted. Bytes are compared with bytes in any case: a proof alone needs none."""
BOTH_HASHES: Hashes = ("sha256", "md5")
"""As a manifest has them."""


class Proof(NamedTuple):
    """What was found out of one raw file.

    `outcome` is proven, unproven, conflict or missing. `how` says what a proof relies on; `reason` why there is none. `digests` are those
    of the content, where both ends were read, as far as they were wanted; `entry` is the source as it was when it was read.
    """

    outcome: Outcome
    how: ProofKind | None = None
    reason: str = ""
    digests: Digests | None = None
    entry: Entry | None = None

    @property
    def is_proven(self) -> bool:
        """Return True if both ends were proven to have the same content."""
        return self.outcome is Outcome.PROVEN


def prove_content(
    raw_file: RawFile,
    source: Reads,
    source_entry: Entry,
    target: Reads,
    target_entry: Entry,
    *,
    hashes: Hashes = BOTH_HASHES,
) -> Proof:
    """Read both ends in full, now: proven, or conflict. Raises StoreError; SourceChanged where either end changed meanwhile."""
    if source_entry.size != target_entry.size:
        return Proof(Outcome.CONFLICT, reason=different_size(source_entry, target_entry), entry=source_entry)
    with source.open(raw_file, source_entry) as left, target.open(raw_file, target_entry) as right:
        running = [_HASHING[name](usedforsecurity=False) for name in hashes]
        size = size_if_equal(left, right, *running)
        if size is not None and size == left.entry.size:
            _refuse_torn(left)
            _refuse_torn(right)
            digests = _digests(size, hashes, [hashing.hexdigest() for hashing in running])
            return Proof(Outcome.PROVEN, ProofKind.BOTH_READ, digests=digests, entry=left.entry)
        refuse_changed(raw_file, source, left)
        refuse_changed(raw_file, target, right)
        entries = left.entry, right.entry
    return _difference(raw_file, source, entries[0], target, entries[1])  # opens both again, one large object at a time


def _refuse_torn(content: Content) -> None:
    """A file on disk may have been written to while it was read; an object is replaced as a whole, and was read under one ETag."""
    if content.entry.etag is None:
        content.finish()


def _difference(raw_file: RawFile, source: Reads, source_entry: Entry, target: Reads, target_entry: Entry) -> Proof:
    """Read each end once more for itself, and return which one is damaged, as far as ETags tell.

    Raises:
        NotTheSame: If both are equal now: the network made the difference, and it is tried again.
    """
    here, there = read_alone(raw_file, source, source_entry), read_alone(raw_file, target, target_entry)
    if here.digests == there.digests:
        raise NotTheSame("unsteady-content", f"Two readings of {source.describe(raw_file)} differ.")
    reason = f"the contents differ: sha256 {here.digests.sha256[:16]}… at the source, {there.digests.sha256[:16]}… at the target"
    for end, name in ((here, "source"), (there, "target")):
        if end.is_as_written is False:
            reason += f"; what the {name} gives is not what its own ETag says"
    return Proof(Outcome.CONFLICT, reason=reason, entry=source_entry)


class _Alone(NamedTuple):
    digests: Digests
    is_as_written: bool | None


def read_alone(raw_file: RawFile, store: Reads, entry: Entry) -> _Alone:
    """Read one end in full; return its digests, and whether it is what its own ETag says. Raises StoreError."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    check = EtagCheck(entry.etag, entry.size) if entry.etag is not None else None
    with store.open(raw_file, entry) as content:
        while data := content.read(CHUNK):
            sha256.update(data)
            md5.update(data)
            size += len(data)
            if check is not None:
                check.update(data)
        _refuse_torn(content)
    return _Alone(Digests(size, sha256.hexdigest(), md5.hexdigest()), check.matches() if check is not None else None)


def digests_of(data: bytes, hashes: Hashes = BOTH_HASHES) -> Digests:
    """Size of a whole content, and the digests that are wanted; the others are empty."""
    return _digests(len(data), hashes, [_HASHING[name](data, usedforsecurity=False).hexdigest() for name in hashes])


def _digests(size: int, hashes: Hashes, found: Sequence[str]) -> Digests:
    named = dict(zip(hashes, found, strict=True))
    return Digests(size, named.get("sha256", ""), named.get("md5", ""))


class ReadsWhole(Protocol):
    """A store on this machine, which gives small raw files in one go."""

    def read_whole(self, raw_file: RawFile, largest: int) -> tuple[bytes, Entry]:
        """Content and state as read. Raises StoreError, for a larger one and one that changed too."""
        ...


def both_at_once(raw_file: RawFile, source: ReadsWhole, target: ReadsWhole, hashes: Hashes) -> Proof | None:
    """A proof of a small raw file, read at both ends in one go; None where they differ. Raises StoreError."""
    here, read = source.read_whole(raw_file, SMALL_UP_TO)
    there, _ = target.read_whole(raw_file, SMALL_UP_TO)
    if here != there:
        return None
    return Proof(Outcome.PROVEN, ProofKind.BOTH_READ, digests=digests_of(here, hashes), entry=read)
