"""What the fast lane reads to prove: small raw files at both ends, at one end against a manifest, or a look whether they are there.

Only what is equal ends here. Whatever differs, changed or cannot be read is declined, and the careful way finds out why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from migrator.checks.content_proof import Hashes, Proof, digests_of
from migrator.checks.prover import Proves
from migrator.checks.verify_sink import result_of
from migrator.core.entities import Entry, RawFile
from migrator.core.equality import ProofKind, has_sha256, is_other_state, is_same_state
from migrator.core.errors import SourceChanged
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.http.curl import CurlClient, HttpResponse
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.transfer.fast_lane import Ended, ObjectRequest, etag_of
from migrator.stores.s3.transfer.fast_lane_transfers import get


class ReadBoth:
    """Reads both ends in full and compares them; at least one is on S3. An entry without ETag is read as it is now."""

    def __init__(
        self,
        source: DiskSource | S3Source,
        target: DiskSource | S3Source,
        wires: tuple[CurlClient, CurlClient],
        hashes: Hashes,
    ) -> None:
        """`wires` are the ends', in order; that of a disk is not used. `hashes` are the digests that proofs are to have."""
        self._source = source
        self._target = target
        self._from, self._to = wires
        self._hashes = hashes

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return the GET at the source, or, where that is a disk, read it and return the GET at the target; None where sizes differ."""
        if step.target is None or not step.source.size == step.target.size <= SMALL_UP_TO:
            return None
        if isinstance(self._source, S3Source):
            place = self._source.place(raw_file)
            return get(self._from, place, step.source, partial(self._read_source, raw_file, step))
        content, entry = self._source.read_whole(raw_file, SMALL_UP_TO)
        return self._read_target(raw_file, step, content, entry)

    def _read_source(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        entry = _as_answered(step.source, answer)
        if isinstance(self._target, S3Source):
            return self._read_target(raw_file, step, answer.body, entry) or step
        content, _ = self._target.read_whole(raw_file, SMALL_UP_TO)
        return self._compared(step, answer.body, entry, content)

    def _read_target(self, raw_file: RawFile, step: Step, content: bytes, entry: Entry) -> ObjectRequest | None:
        """Ask for the target's content, holding the source's; it is declined where the target is no S3."""
        if step.target is None or not isinstance(self._target, S3Source):
            return None
        finish = partial(self._compared_with_answer, step, step.target, content, entry)
        return get(self._to, self._target.place(raw_file), step.target, finish, held=len(content))

    def _compared_with_answer(
        self, step: Step, listed: Entry, content: bytes, entry: Entry, answer: HttpResponse
    ) -> Ended:
        _as_answered(listed, answer)
        return self._compared(step, content, entry, answer.body)

    def _compared(self, step: Step, here: bytes, entry: Entry, there: bytes) -> Ended:
        if here != there or len(here) != step.source.size:
            return step
        proof = Proof(Outcome.PROVEN, ProofKind.BOTH_READ, digests=digests_of(here, self._hashes), entry=entry)
        return result_of(step.source, proof)


class ReadAgainstManifest:
    """Reads an end on S3 and holds it against the SHA-256 of a manifest, which is the source."""

    def __init__(self, end: S3Source, wire: CurlClient) -> None:
        self._end = end
        self._wire = wire

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return the GET; None where nothing small is at the end."""
        if step.target is None or step.target.size > SMALL_UP_TO:
            return None
        return get(self._wire, self._end.place(raw_file), step.target, partial(_is_as_manifest, step, step.target))


class ReadRight:
    """Reads an end on S3 and asks whether each whole content is right."""

    def __init__(self, end: S3Source, wire: CurlClient, is_right: Callable[[RawFile, bytes], bool]) -> None:
        self._end = end
        self._wire = wire
        self._is_right = is_right

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return the GET; None for a large object."""
        if step.source.size > SMALL_UP_TO:
            return None
        return get(self._wire, self._end.place(raw_file), step.source, partial(self._read, raw_file, step))

    def _read(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        entry = _as_answered(step.source, answer)
        return Result(entry, Outcome.PROVEN) if self._is_right(raw_file, answer.body) else step


class LookAtTarget:
    """Asks an end on S3 by HEAD whether a raw file is there, and has the rest of the proof made without requests."""

    def __init__(self, end: S3Source, wire: CurlClient, prover: Proves) -> None:
        self._end = end
        self._wire = wire
        self._prover = prover

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return a HEAD at the target; None where it lists nothing."""
        if step.target is None:
            return None
        return ObjectRequest(self._wire, "HEAD", self._end.place(raw_file), {}, partial(self._on_head, raw_file, step))

    def _on_head(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        proof = self._prover.at_once(raw_file, step.source, step.target) if step.target is not None else None
        return result_of(step.source, proof) if proof is not None else step


class LookAgain:
    """Asks by HEAD whether raw files on S3 are still as their entries say: of the same size and ETag."""

    def __init__(self, store: S3Source, wire: CurlClient) -> None:
        self._store = store
        self._wire = wire

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return a HEAD, which shows whether it is still what was read; None for an object whose ETag is not known."""
        if step.source.etag is None:
            return None
        return ObjectRequest(self._wire, "HEAD", self._store.place(raw_file), {}, partial(_is_as_read, step))


def _is_as_read(step: Step, answer: HttpResponse) -> Ended:
    size = answer.header("content-length") or ""
    now = Entry(step.source.raw_id, int(size), etag_of(answer)) if size.isdigit() else None
    return Result(step.source, Outcome.PROVEN) if is_same_state(now, step.source) else step


def _is_as_manifest(step: Step, listed: Entry, answer: HttpResponse) -> Ended:
    entry = _as_answered(listed, answer)
    if not has_sha256(answer.body, step.source.etag):
        return step
    return result_of(
        step.source, Proof(Outcome.PROVEN, ProofKind.AS_MANIFEST, digests=digests_of(answer.body), entry=entry)
    )


def _as_answered(listed: Entry, answer: HttpResponse) -> Entry:
    """Return the object's entry, with the answered ETag where none was known.

    Raises:
        SourceChanged: If size or ETag are not as listed.
    """
    etag = etag_of(answer)
    if len(answer.body) != listed.size or is_other_state(etag, listed):
        raise SourceChanged("source-changed", f"{listed.raw_id} is another object than was listed.")
    return listed if listed.etag is not None else listed._replace(etag=etag)
