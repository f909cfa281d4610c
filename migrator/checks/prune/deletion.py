"""The second proof, and the deletion: a batch of what the manifest names is proven once more, and goes at once.

Nothing here deletes by difference, by listing, or by what an earlier run believed. A raw file goes only if at this moment both ends were
read and are equal, and its source is still as it was when it was read. Whatever is not as the first proof found it ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from migrator.checks.content_proof import Hashes
from migrator.checks.proofs_in_order import ProofsInOrder
from migrator.checks.prune.deletion_errors import same_place, surprise, surprising
from migrator.checks.prune.ends import Ends, Folders, Remover
from migrator.checks.prune.proof import proof_at_once, proof_of
from migrator.checks.prune.tallies import Pruned
from migrator.core.entities import Digests, Entry, RawFile
from migrator.core.errors import MustStop, StoreError
from migrator.core.outcomes import Result
from migrator.core.protocols import Source

BATCH = 1_000
"""Raw files between whose proof and deletion no other proof lies; S3 deletes up to so many with one request."""
BATCH_BYTES = 1 << 30
"""And bytes: what was proven hours ago is not proven at this moment. A larger raw file is a batch alone."""

AGAIN: Hashes = ("sha256",)
"""What the second proof compares with the first."""

Row = tuple[RawFile, Digests]


def batches(rows: Iterable[Row], most: Callable[[], int] = lambda: BATCH) -> Iterator[list[Row]]:
    """Rows in order, in batches of so many bytes and at most so many files, which is asked for each row."""
    batch: list[Row] = []
    total = 0
    for row in rows:
        if batch and (len(batch) >= most() or total + row[1].size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += row[1].size
    if batch:
        yield batch


class BatchDeletion:
    """Deletes batches, each of one organization. Used by one thread."""

    def __init__(self, ends: Ends, remover: Remover, pool: ThreadPoolExecutor) -> None:
        """`pool` has the threads that prove what the lane does not."""
        self._ends = ends
        self._remover = remover
        self._folders = Folders(ends)
        self._proofs: ProofsInOrder[Row, tuple[RawFile, Entry]] = ProofsInOrder(
            ends.lane_again,
            pool,
            ends_of=_ends_now,
            at_once=self._proven_at_once,
            taken=self._proven_by_lane,
            slowly=self._proven,
        )

    def delete(self, batch: Sequence[Row], counts: Pruned) -> None:
        """Prove a batch and delete it; what went is counted in `counts`, also where an error ends it.

        Raises:
            MustStop: At the first surprise.
            Interrupted: If the run is asked to stop before the batch is proven.
        """
        with surprising():
            for raw_file in filter(self._folders.is_new, (raw_file for raw_file, _ in batch)):
                self._folders.refuse_one(raw_file)
                self._refuse_same_place(raw_file)
            self._ends.settle()
        self._remove([proof.result() for _, proof in self._proofs.run(batch) if proof is not None], counts)
        counts.folders_removed += self._remover.remove_empty_folders()

    def _proven_at_once(self, row: Row) -> tuple[RawFile, Entry] | None:
        raw_file, digests = row
        with surprising():
            found = proof_at_once(self._ends, raw_file, digests.size, AGAIN)
        return self._as_before(raw_file, digests, *found) if found is not None else None

    def _proven(self, row: Row) -> tuple[RawFile, Entry]:
        """Prove again, at this moment, that the raw file is at both ends; return it with its state.

        Raises:
            MustStop: If anything is not what the first proof found.
        """  # noqa: DOC501 made by surprise
        raw_file, digests = row
        where = self._ends.source.describe(raw_file)
        with surprising():
            source, target = self._ends.source.stat(raw_file), self._ends.target.stat(raw_file)
            if source is None or target is None:
                raise surprise(f"{where} is not at the {'source' if source is None else 'target'} any more.")
            found = proof_of(self._ends, raw_file, source, target, AGAIN)
        if isinstance(found, str):
            raise surprise(f"{where}: {found}.")
        return self._as_before(raw_file, digests, *found)

    def _proven_by_lane(self, row: Row, result: Result) -> tuple[RawFile, Entry] | None:
        """What the lane proved; None where it does not say in which state the source was read."""
        raw_file, digests = row
        if result.digests is None or not (result.entry.etag or result.entry.inode):
            return None
        return self._as_before(raw_file, digests, result.digests, result.entry)

    def _as_before(self, raw_file: RawFile, digests: Digests, now: Digests, entry: Entry) -> tuple[RawFile, Entry]:
        """Return the raw file and its state.

        Raises:
            MustStop: If it has not the digests of the first proof.
        """  # noqa: DOC501 made by surprise
        if now.sha256 != digests.sha256:
            where = self._ends.source.describe(raw_file)
            raise surprise(f"{where} is another content than this run proved a moment ago.")
        return raw_file, entry

    def _refuse_same_place(self, raw_file: RawFile) -> None:
        """Put a mark at the source and look whether the target has it: two names for one place look like two.

        Raises:
            MustStop: If the target, or a place that Bytes reads, has it.
        """  # noqa: DOC501 made by same_place
        mark, take_away = self._remover.mark(raw_file)
        try:
            found = _has(self._ends.target, mark)
            read_at = next((words for words, store in self._ends.read_by_bytes if _has(store, mark)), None)
        finally:
            take_away()
        if read_at is not None:
            raise MustStop(
                "bytes-reads-the-source",
                f"Bytes' settings say {read_at}, which is the source under another name.",
                why=f"A mark was put at the source, {self._ends.source.describe(mark)}, and was there; it is removed.",
                cure="Switch Bytes to the other place first, then give its new settings here (--env-file).",
            )
        if found:
            raise same_place(
                f"A mark was put at the source, {self._ends.source.describe(mark)}, and the target had it; it is removed."
            )

    def _remove(self, proven: Sequence[tuple[RawFile, Entry]], counts: Pruned) -> None:
        sizes = {raw_file: entry.size for raw_file, entry in proven}
        fault: StoreError | None = None
        with surprising():
            for raw_file, error in self._remover.remove(proven):
                if error is None:
                    counts.of(raw_file.organization).deleted.add(sizes[raw_file])
                else:
                    fault = fault or error
        counts.one_by_one = self._remover.deletes_one_by_one
        if fault is not None:
            raise surprise(fault.what) from fault


def _ends_now(row: Row) -> tuple[RawFile, Entry, Entry]:
    """The ends of a row of the manifest, of whose states nothing is known any more."""
    raw_file, digests = row
    entry = Entry(raw_file.raw_id, digests.size)
    return raw_file, entry, entry


def _has(store: Source, mark: RawFile) -> bool:
    """Return True if the store finds or lists the mark: a server may answer HEAD late, or otherwise than it lists and reads."""
    return store.stat(mark) is not None or store.is_listed(mark)
