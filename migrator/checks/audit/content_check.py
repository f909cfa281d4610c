"""Holds contents against the digests that Bytes recorded: small ones on S3 by the fast lane, all others in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from enum import Enum
from typing import NamedTuple

from migrator.checks.audit.database_row import Recorded, RecordedDigest
from migrator.checks.audit.nacl import BoxOpener, Undecodable
from migrator.checks.proofs_in_order import AHEAD_WITH_LANE, ProofsInOrder
from migrator.core.entities import Entry, RawFile
from migrator.core.errors import SourceChanged, StoreError, Vanished
from migrator.core.protocols import Content, Source
from migrator.transfer.batch_sink import FastLane

LARGEST_BOX = 256 * 1024 * 1024
"""A NaCl box opens only as a whole, and takes three times its size in memory; Bytes itself reads it likewise."""
_SMALL_BOX = 8 * 1024 * 1024
_CHUNK = 1024 * 1024
_AHEAD = 4


LaneFor = Callable[[Callable[[RawFile, bytes], bool]], "FastLane | None"]
_Provable = tuple[Recorded, Entry]


class ContentVerdict(Enum):
    """How holding a content against its row ended. `FAILED`: it could not be read, so nothing is known of it."""

    __hash__ = object.__hash__

    PROVEN = "proven"
    ALTERED = "altered"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    VANISHED = "vanished"


class RecordProof(NamedTuple):
    """An end and its reason; `error` is what the store said, if it did."""

    ended: ContentVerdict
    reason: str = ""
    error: StoreError | None = None


class RecordProver:
    """Reads contents from a source, decodes them as Bytes does, and hashes them as a stream. Used by one thread; `close` ends it."""

    def __init__(
        self, source: Source, opener: BoxOpener | None, *, jobs: int, lane_for: LaneFor = lambda is_right: None
    ) -> None:
        """Begin; `lane_for` makes a fast lane that reads small contents of `source` and asks whether they are right."""
        self._source = source
        self._opener = opener
        self._rows: dict[RawFile, Recorded] = {}
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="proof")
        self._one_large_box = threading.Lock()
        self._lane = lane_for(self._is_right)
        self.window = jobs * _AHEAD if self._lane is None else AHEAD_WITH_LANE
        self._proofs: ProofsInOrder[_Provable, RecordProof] = ProofsInOrder(
            self._lane,
            self._pool,
            ends_of=lambda one: (RawFile(one[0].organization, one[0].raw_id), one[1], one[1]),
            at_once=lambda one: None,  # one process reads, so threads wait for the medium side by side
            taken=lambda one, result: RecordProof(ContentVerdict.PROVEN),
            slowly=lambda one: self._prove(*one),
        )

    def close(self) -> None:
        """Drop what has not begun, and close the lane."""
        self._pool.shutdown(cancel_futures=True)
        if self._lane is not None:
            self._lane.close()

    def begin(self, row: Recorded, entry: Entry) -> Future[RecordProof]:
        """Prove a row that is provable."""
        if self._lane is not None:
            self._rows[RawFile(row.organization, row.raw_id)] = row
        begun = self._proofs.begin((row, entry))
        return begun if begun is not None else Future()

    def result(self, row: Recorded, proof: Future[RecordProof]) -> RecordProof:
        """Wait for the proof of a row that was begun."""
        self._proofs.wait_for(proof)
        self._rows.pop(RawFile(row.organization, row.raw_id), None)
        return proof.result()

    def _is_right(self, raw_file: RawFile, content: bytes) -> bool:
        """Whether a whole content is what Bytes recorded; False proves nothing."""
        row = self._rows.get(raw_file)
        if row is None:
            return False
        digest = RecordedDigest(row)
        try:
            digest.update(content if self._opener is None else self._opener.open(content))
        except Undecodable:
            return False
        return digest.matches()

    def _prove(self, row: Recorded, entry: Entry) -> RecordProof:
        try:
            try:
                return self._read(row, entry)
            except SourceChanged:
                return self._read(row, entry)
        except Undecodable as error:
            return RecordProof(ContentVerdict.UNDECODABLE, str(error))
        except Vanished as error:
            return RecordProof(ContentVerdict.VANISHED, "it vanished while this ran", error)
        except StoreError as error:
            return RecordProof(ContentVerdict.FAILED, error.what, error)

    def _read(self, row: Recorded, entry: Entry) -> RecordProof:
        digest = RecordedDigest(row)
        with self._source.open(RawFile(row.organization, row.raw_id), entry) as content:
            if self._opener is None:
                piece = min(_CHUNK, content.entry.size + 1)  # a larger buffer would cost more than reading a small file
                while data := content.read(piece):
                    digest.update(data)
                content.finish()
            elif content.entry.size > LARGEST_BOX:
                return RecordProof(
                    ContentVerdict.FAILED,
                    f"its NaCl box is larger than {LARGEST_BOX >> 20} MiB, and opens only as a whole",
                )
            else:
                with self._one_large_box if content.entry.size > _SMALL_BOX else nullcontext():
                    digest.update(self._opener.open(_whole(content)))
            size = content.entry.size
        if digest.matches():
            return RecordProof(ContentVerdict.PROVEN)
        return RecordProof(
            ContentVerdict.ALTERED,
            "it is not what Bytes recorded" if size else "it is empty, and Bytes recorded something else",
        )


def _whole(content: Content) -> bytes:
    data = content.read(content.entry.size)
    content.finish()
    return data
