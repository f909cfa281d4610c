"""Proving that a raw file is the same at both ends, at one of three levels. Nothing here can write, by type.

`Prover.prove` looks again where something changed meanwhile, and never raises for a difference. `verify_sink` is it as the sink of a pass.

What each level promises:

- size: both ends list the same size. Says nothing of contents.
- etag: content read at one end has the digest that the other end's store keeps: its ETag (an MD5, or one of parts, recomputed), or a
  stored checksum. Damage that a server did to stored bytes without noticing is not found. Where neither end keeps a digest (disk
  to disk), both are read.
- content: both ends are read in full and are the same byte for byte.

A difference of digests alone is no conflict: contents are compared before anything is called one. What no digest tells is unproven.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from migrator.checks.content_proof import (
    BOTH_HASHES,
    Hashes,
    Proof,
    ReadsWhole,
    both_at_once,
    prove_content,
    read_alone,
)
from migrator.core.entities import Entry, RawFile
from migrator.core.equality import (
    CHUNK,
    EtagCheck,
    ProofKind,
    candidates,
    confirms,
    has_md5,
    has_sha256,
    is_plain_md5,
    sha256_as_etag,
    share_digest,
)
from migrator.core.errors import NotTheSame, SourceChanged, StoreError, Vanished
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Check, Promise, Reads
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.sync.shard.deciding import NOT_AT_TARGET, different_size
from migrator.transfer.file_copier import refuse_listed
from migrator.transfer.retry import ROUNDS

NO_DIGEST = "its ETag is no digest that could be recomputed here, and no checksum is stored that could: --level content reads both ends"
ENCRYPTED = (
    "the server encrypts it with a key of its own, so its ETag is no digest, and it stores no checksum that could be "
    "computed here: --level content reads both ends"
)
GONE_AT_SOURCE = "deleted at the source while this ran: there is nothing left to hold the target against"


class Level(Enum):
    """How much a proof takes."""

    SIZE = "size"
    ETAG = "etag"
    CONTENT = "content"


class Prover:
    """Proves raw files at one level. Used by any thread. `near` are the ends that lie on this machine's disks.

    `hashes` are the digests that proofs by content are to have.
    """

    def __init__(
        self,
        source: Reads,
        target: Reads,
        level: Level,
        *,
        near_source: ReadsWhole | None = None,
        near_target: ReadsWhole | None = None,
        hashes: Hashes = BOTH_HASHES,
    ) -> None:
        self.hashes = hashes
        self.source = source
        self.target = target
        self.level = level
        self._near_source = near_source
        self._near_target = near_target
        self._opaque: set[tuple[int, str]] = set()

    def at_once(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof | None:
        """A proof without any request, for small raw files on disk; None for all that is not surely fine."""
        if source.size != target.size:
            return None
        if self.level is Level.ETAG and is_plain_md5(source.etag) and share_digest(source.etag, target.etag):
            return Proof(Outcome.PROVEN, ProofKind.SAME_ETAG, entry=source)
        if source.size > SMALL_UP_TO:
            return None
        try:
            if self._near_source is not None and self._near_target is not None:
                return both_at_once(raw_file, self._near_source, self._near_target, self.hashes)
            if self.level is not Level.ETAG:
                return None
            if self._near_source is not None and is_plain_md5(target.etag):
                data, read = self._near_source.read_whole(raw_file, SMALL_UP_TO)
                return _proof_by_md5(data, target.etag, read)
            if self._near_target is not None and is_plain_md5(source.etag):
                data, _ = self._near_target.read_whole(raw_file, SMALL_UP_TO)
                return _proof_by_md5(data, source.etag, source)
        except StoreError:
            return None
        return None

    def prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        """Prove, looking again where something changed meanwhile.

        Raises:
            SourceChanged: If it changed at each try.
            NotTheSame: If readings differ at each try.
            Vanished: If it vanished at each try, and is listed.
            StoreError: If an end cannot be read.
            AssertionError: If the last try neither returned nor raised.
        """
        here: Entry | None = source
        there: Entry | None = target
        for attempt in range(ROUNDS):
            if here is None:
                refuse_listed(self.source, raw_file)
                return Proof(Outcome.UNPROVEN, reason=GONE_AT_SOURCE, entry=source)
            if there is None:
                refuse_listed(self.target, raw_file)
                return Proof(Outcome.MISSING, reason=NOT_AT_TARGET, entry=here)
            if here.size != there.size:
                return Proof(Outcome.CONFLICT, reason=different_size(here, there), entry=here)
            try:
                return self._prove(raw_file, here, there)
            except (SourceChanged, NotTheSame, Vanished):
                if attempt == ROUNDS - 1:
                    raise
            here, there = self.source.stat(raw_file), self.target.stat(raw_file)
        raise AssertionError("the last try returns or raises")

    def _prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        if self.level is Level.CONTENT:
            return self._both_read(raw_file, source, target)
        ours, theirs = source.etag, target.etag
        if share_digest(ours, theirs):
            return Proof(Outcome.PROVEN, ProofKind.SAME_ETAG, entry=source)
        if ours is None and theirs is None:
            return self._both_read(raw_file, source, target)
        proof = self._held_against(raw_file, source, target, reads_source=theirs is not None)
        if proof.outcome is Outcome.UNPROVEN and ours is not None and theirs is not None:
            return self._held_against(raw_file, source, target, reads_source=False)
        return proof

    def _both_read(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        return prove_content(raw_file, self.source, source, self.target, target, hashes=self.hashes)

    def _held_against(self, raw_file: RawFile, source: Entry, target: Entry, *, reads_source: bool) -> Proof:
        """Read one end and hold it against what the other end's store keeps."""
        reader, entry = (self.source, source) if reads_source else (self.target, target)
        keeper, kept = (self.target, target) if reads_source else (self.source, source)
        keeper_key = (id(keeper), raw_file.organization)
        promise: Promise | None = None
        sizes = candidates(kept.etag, kept.size)
        if keeper_key in self._opaque or not (is_plain_md5(kept.etag) or len(sizes) == 1):
            promise = self._promise(keeper, keeper_key, raw_file)
        found = self._tried(raw_file, reader, entry, kept, promise, sizes)
        if found is None and promise is None:
            promise = self._promise(keeper, keeper_key, raw_file)
            found = self._tried(raw_file, reader, entry, kept, promise, sizes, again=True)
        if found is not None:
            return found._replace(entry=source)
        is_digest = promise is None or promise.etag_is_digest
        of_parts = bool(sizes) or (promise is not None and promise.part_size is not None)
        if (promise is not None and promise.check is not None) or (is_digest and (is_plain_md5(kept.etag) or of_parts)):
            return self._both_read(raw_file, source, target)  # a digest differs: look whether contents do
        return Proof(Outcome.UNPROVEN, reason=NO_DIGEST if is_digest else ENCRYPTED, entry=source)

    def _promise(self, keeper: Reads, key: tuple[int, str], raw_file: RawFile) -> Promise | None:
        promise = keeper.promise(raw_file)
        if promise is not None and not promise.etag_is_digest:
            self._opaque.add(key)  # the next ones here are asked first, and read once
        return promise

    def _tried(
        self,
        raw_file: RawFile,
        reader: Reads,
        entry: Entry,
        kept: Entry,
        promise: Promise | None,
        sizes: list[int],
        *,
        again: bool = False,
    ) -> Proof | None:
        """The proof by the digest that fits, None where there is none or it does not match."""
        check: Check | None = None
        how: ProofKind | None = None
        if promise is None or promise.etag_is_digest:
            check, how = _etag_check(kept, promise, sizes, again=again)
        if check is None and promise is not None and promise.check is not None:
            check, how = promise.check(), ProofKind.OF_CHECKSUM
        if check is None:
            return None
        with reader.open(raw_file, entry) as content:
            while data := content.read(CHUNK):
                check.update(data)
            content.finish()
        return Proof(Outcome.PROVEN, how) if check.matches() is True else None


def _etag_check(
    kept: Entry, promise: Promise | None, sizes: list[int], *, again: bool
) -> tuple[Check | None, ProofKind | None]:
    """What an ETag can be compared with; `again`: what the listing alone told was tried in vain."""
    if is_plain_md5(kept.etag):
        return (None, None) if again else (EtagCheck(kept.etag, kept.size), ProofKind.OF_MD5)
    known = promise.part_size if promise is not None else None
    if known is not None and known not in (sizes if again else ()):
        return EtagCheck(kept.etag, kept.size, known), ProofKind.OF_PARTS
    return (EtagCheck(kept.etag, kept.size), ProofKind.OF_PARTS) if sizes and not again else (None, None)


def _proof_by_md5(data: bytes, etag: str | None, entry: Entry) -> Proof | None:
    return Proof(Outcome.PROVEN, ProofKind.OF_MD5, entry=entry) if has_md5(data, etag) else None


class Proves(Protocol):
    """Proves single raw files, by whatever it holds them against. Used by any thread."""

    def at_once(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof | None:
        """A proof without any request; None for all that is not surely fine."""
        ...

    def prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        """Prove, looking again where something changed meanwhile. Raises StoreError for what cannot be read."""
        ...


class AgainstManifest:
    """Proves raw files at one end by the digests of a manifest, which is the source. `near` is that end, where it is a disk."""

    def __init__(self, manifest: Reads, end: Reads, *, near: ReadsWhole | None = None) -> None:
        self._manifest = manifest
        self._end = end
        self._near = near

    def at_once(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof | None:
        """Read a small raw file on disk and compare it; None where that proves nothing, and `prove` has to."""
        if self._near is None or target.size > SMALL_UP_TO:
            return None
        try:
            data, read = self._near.read_whole(raw_file, SMALL_UP_TO)
        except StoreError:
            return None
        return Proof(Outcome.PROVEN, ProofKind.AS_MANIFEST, entry=read) if has_sha256(data, source.etag) else None

    def prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        """Read the end in full; a second time before anything is called a conflict.

        Raises:
            SourceChanged: If it changed at each try.
            NotTheSame: If readings differ at each try.
            Vanished: If it vanished at each try, and is listed.
        """
        there: Entry | None = target
        differing = ""
        for attempt in range(ROUNDS):
            if there is None:
                refuse_listed(self._end, raw_file)
                return Proof(Outcome.MISSING, reason=NOT_AT_TARGET, entry=source)
            try:
                read = read_alone(raw_file, self._end, there).digests
            except (SourceChanged, NotTheSame, Vanished):
                if attempt == ROUNDS - 1:
                    raise
                differing = ""
            else:
                if confirms(sha256_as_etag(read.sha256), source.etag):
                    return Proof(Outcome.PROVEN, ProofKind.AS_MANIFEST, digests=read, entry=there)
                if differing == read.sha256:
                    return Proof(
                        Outcome.CONFLICT,
                        reason=f"its content has another SHA-256 than the manifest says: {read.sha256}",
                        entry=there,
                    )
                differing = read.sha256
            there = self._end.stat(raw_file)
        raise NotTheSame("unsteady-content", f"Two readings of {self._end.describe(raw_file)} differ.")
