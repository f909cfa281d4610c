"""Proving that a raw file is the same at both ends, at one of three levels. Nothing here can write, by type.

For whoever needs a proof of one raw file at this moment (`prune` before it deletes): `prove_content` reads both ends in full and
answers a `Proof` whose `is_proven` is the only thing to go by::

    proof = prove_content(raw_file, source, source_entry, target, target_entry)   # raises StoreError
    if proof.is_proven: …            # proof.digests has size, sha256 and md5; proof.entry the source's state that was read

`Prover.prove` does the same at any level, looks again where something changed meanwhile, and never raises for a difference; `Prove` is it
as the sink of a pass: each `Step` with both ends is answered with the outcome proven, unproven, conflict, missing or failed.

What each level promises:

- size: both ends list the same size. Says nothing of contents.
- etag: content read at one end has the digest that the other end's store keeps: its ETag (an MD5, or one of parts, recomputed), or a
  stored checksum. Damage that a server did to stored bytes without noticing is not found. Where neither end keeps a digest (disk
  to disk), both are read.
- content: both ends are read in full and are the same byte for byte.

A difference of digests alone is no conflict: contents are compared before anything is called one. What no digest tells is unproven.
"""

from __future__ import annotations

import hashlib
import queue
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import Literal, NamedTuple, Protocol

from migrator.core.entities import Digests, Entry, RawFile
from migrator.core.equality import (
    CHUNK,
    EtagCheck,
    ProofKind,
    candidates,
    confirms,
    has_md5,
    has_sha256,
    is_plain_md5,
    refuse_changed,
    sha256_as_etag,
    share_digest,
    size_if_equal,
)
from migrator.core.errors import (
    NotTheSame,
    SourceChanged,
    StoreError,
    Vanished,
)
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import Check, Content, Promise, Reads, SinkAnswer, Source
from migrator.core.size_classes import SMALL_UP_TO
from migrator.sync.shard.deciding import NOT_AT_TARGET, different_size
from migrator.transfer.batch_sink import FastLane
from migrator.transfer.file_copier import FileBoundary, Stored, refuse_listed
from migrator.transfer.large_file_progress import Meter
from migrator.transfer.retry import ROUNDS, RetryPolicy

_HASHING = {"sha256": hashlib.sha256, "md5": hashlib.md5}
_AT_ONCE_ANSWERS = 512
_WAIT = 0.05
_SHORT_WAIT = 0.005
SAMPLED = 100
"""Raw files of an organization, in each worker, that are looked at where proofs would rest on a listing alone."""

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


Hashes = tuple[Literal["sha256", "md5"], ...]
"""Which digests of a content are wanted. Bytes are compared with bytes in any case: a proof alone needs none."""
BOTH_HASHES: Hashes = ("sha256", "md5")
"""As a manifest has them."""


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
        return _difference(raw_file, source, left.entry, target, right.entry)


def _refuse_torn(content: Content) -> None:
    """A file on disk may have been written to while it was read; an object is replaced as a whole, and was read under one ETag."""
    if content.entry.etag is None:
        content.finish()


def _difference(raw_file: RawFile, source: Reads, source_entry: Entry, target: Reads, target_entry: Entry) -> Proof:
    """Read each end once more for itself, and return which one is damaged, as far as ETags tell.

    Raises:
        NotTheSame: If both are equal now: the network made the difference, and it is tried again.
    """
    here, there = _read_alone(raw_file, source, source_entry), _read_alone(raw_file, target, target_entry)
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


def _read_alone(raw_file: RawFile, store: Reads, entry: Entry) -> _Alone:
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
                read = _read_alone(raw_file, self._end, there).digests
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


class Prove:
    """The sink of `verify`: small raw files on disk are proven as they come, those on S3 by the fast lane, all others in `jobs` threads."""

    def __init__(
        self,
        prover: Proves,
        *,
        jobs: int,
        patience: RetryPolicy,
        listed_target: Source | None = None,
        fast: FastLane | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Begin; of `listed_target`, whose listing alone would be believed, `SAMPLED` raw files of each organization are asked for by HEAD.

        `fast` proves what goes right of those that take a request: with `listed_target` those that are asked for, else all. `meter` counts
        what the prover reads.
        """
        self._prover = prover
        self._fast = fast
        self._meter = meter or Meter()
        self._listed_target = listed_target
        self._sampled: Counter[str] = Counter()
        self._patience = patience
        self._boundary = FileBoundary(patience)
        self._window = jobs * 2
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="prove")
        self._done: queue.SimpleQueue[SinkAnswer] = queue.SimpleQueue()
        self._at_once: deque[SinkAnswer] = deque()
        self._under_way = 0

    @property
    def has_room(self) -> bool:
        """Return True if threads, lane and waiting answers leave room for another step."""
        has_room = self._under_way < self._window and len(self._at_once) < _AT_ONCE_ANSWERS
        return has_room and (self._fast is None or self._fast.has_room)

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Prove at once what needs no reading, else give it to the small-object lane or to a thread."""
        raw_file = RawFile(organization, step.source.raw_id)
        target = step.target
        if target is None:
            self._at_once.append(SinkAnswer(ticket, Result(step.source, Outcome.MISSING, NOT_AT_TARGET)))
            return
        with_stat = self._listed_target is not None and self._sampled[organization] < SAMPLED
        self._sampled[organization] += with_stat
        proof = None if with_stat else self._prover.at_once(raw_file, step.source, target)
        if proof is not None:
            self._at_once.append(SinkAnswer(ticket, result_of(step.source, proof)))
            return
        is_for_lane = with_stat or self._listed_target is None
        is_for_lane = is_for_lane and organization not in self._patience.closed
        if self._fast is None or not is_for_lane or not self._fast.submit(ticket, organization, step):
            self._submit(ticket, raw_file, step.source, target, with_stat=with_stat)

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        """Yield proofs that are there; wait a moment if there are none."""
        waits = not self._at_once
        while self._at_once:
            yield self._at_once.popleft()
        if self._fast is not None and self._fast.under_way:
            wait = 0.0 if not waits else _SHORT_WAIT if self._under_way else _WAIT
            yield from self._fast_answers(self._fast, wait)
            waits = False
        try:
            while self._under_way:
                answer = self._done.get(timeout=_WAIT) if waits else self._done.get_nowait()
                waits = False
                self._under_way -= 1
                yield answer
        except queue.Empty:
            return

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield how far large raw files have been read."""
        yield from self._meter.moved()

    def close(self) -> None:
        """Drop what has not begun, and close the lane."""
        self._pool.shutdown(cancel_futures=True)
        if self._fast is not None:
            self._fast.close()

    def _submit(self, ticket: object, raw_file: RawFile, source: Entry, target: Entry, *, with_stat: bool) -> None:
        self._under_way += 1
        self._pool.submit(self._carry, ticket, raw_file, source, target, with_stat=with_stat)

    def _fast_answers(self, fast: FastLane, wait: float) -> Iterator[SinkAnswer]:
        """What the fast lane proved; what it declined is proven by a thread."""
        for carried in fast.carried(wait):
            if isinstance(carried, SinkAnswer):
                yield carried
            elif not isinstance(carried, Stored):
                ticket, organization, step = carried
                raw_file = RawFile(organization, step.source.raw_id)
                if step.target is not None:  # the lane takes no other
                    self._submit(ticket, raw_file, step.source, step.target, with_stat=self._listed_target is not None)

    def _stat_and_prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        """As the prover, of what the end that is asked finds. Raises StoreError."""
        if self._listed_target is not None and self._listed_target.stat(raw_file) is None:
            refuse_listed(self._listed_target, raw_file)
            return Proof(Outcome.MISSING, reason=NOT_AT_TARGET, entry=source)
        return self._prover.at_once(raw_file, source, target) or self._prover.prove(raw_file, source, target)

    def _carry(self, ticket: object, raw_file: RawFile, source: Entry, target: Entry, *, with_stat: bool) -> None:
        prove = partial(self._stat_and_prove if with_stat else self._prover.prove, raw_file, source, target)

        def carry() -> SinkAnswer:
            with self._meter.measuring(ticket, source.size):
                proof = self._patience.run(prove, is_request=False, organization=raw_file.organization)
            return SinkAnswer(ticket, result_of(source, proof))

        self._done.put(self._boundary.crossed(ticket, raw_file, source, carry))


def result_of(source: Entry, proof: Proof) -> Result:
    """Counted with the size that was listed: the totals of both ends are about the same raw files."""
    entry = proof.entry or source
    evidence = proof.how.value if proof.how is not None else ""
    return Result(entry, proof.outcome, proof.reason, evidence=evidence, digests=proof.digests)
