"""The ledger: what earlier runs proved and what happened to them, in one SQLite file for each pair of locations.

It is a cache of proofs: losing it costs time, never correctness. So whatever is read back is checked as if a stranger had written it.
All is kept in one table of facts, each with a seal over its key, its content and the two locations; a fact whose seal or form is
wrong is deleted as if it had never been there. The seal is no secret: it finds damage and careless edits; a forged fact is found by
`verify`, which never relies on this.

With `database` the only module with SQL. A `Ledger` is used by one thread, and written by the one process that holds its lock.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from migrator.core.entities import FinishedFolder, ProvenShard, Provisional, RawId, UnfinishedUpload
from migrator.core.errors import MustStop
from migrator.core.notices import Problem
from migrator.ledger import record_codec
from migrator.ledger.database import FILE_ERRORS, INSERT, LedgerDatabase, is_damage, open_copy, open_to_write, trouble
from migrator.ledger.directory import StateFolder
from migrator.ledger.record_codec import Expected, RunRow, Sealer, Totals, key_of, text_of

SELECT = (
    "SELECT name, body, seal FROM facts WHERE kind = ? AND owner = ? AND name >= ? AND name < ?"
    " ORDER BY name LIMIT ? OFFSET ?"
)
KEPT_RUNS = 100
KEPT_PROBLEM_RUNS = 10
KEPT_PROBLEMS = 100_000  # of a run: some 30 MB

T = TypeVar("T")


class Ledger:
    """An open ledger. `findings` is what opening it brought up."""

    def __init__(self, file: LedgerDatabase) -> None:
        """Take over an opened file; `close` gives it back."""
        self.path = file.path
        self.source_identity, self.target_identity = file.identities
        self.findings = file.findings
        self._file = file
        self._connection = file.connection
        self._sealer = Sealer(*file.identities)
        self._is_damaged = False

    @staticmethod
    def open(path: Path, *, source_identity: str, target_identity: str, now: float, patience: float = 5.0) -> Ledger:
        """Open for writing, while the lock is held; make it where it is missing, and anew where it is damaged.

        Waits `patience` seconds for a foreign program that holds the file. Raises CannotStart.
        """
        return Ledger(open_to_write(path, (source_identity, target_identity), now, patience))

    @staticmethod
    def open_to_read(
        path: Path, *, source_identity: str | None = None, target_identity: str | None = None
    ) -> Ledger | None:
        """Open a private copy, also of a ledger that is being written. Nothing is written beside the original.

        None where there is no ledger, or only a damaged one. Identities that are given are compared with it. Raises CannotStart.
        """
        file = open_copy(path, (source_identity, target_identity))
        return Ledger(file) if file else None

    def close(self) -> None:
        """Close the database; one that was found damaged is moved aside, and the next run makes another."""
        self._file.close(is_damaged=self._is_damaged)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes in the block become durable together, or none does. Blocks nest; the outermost one commits."""
        if self._connection.in_transaction:
            yield
            return
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def begin_run(
        self, run_id: str, command: str, source: str, target: str, *, settings_fingerprint: str, started_at: float
    ) -> None:
        """Remember that a run began, and forget the oldest ones."""
        row = RunRow(
            run_id=run_id,
            command=command,
            source=source,
            target=target,
            settings_fingerprint=settings_fingerprint,
            started_at=started_at,
        )
        with self.transaction():
            self._put_run(row)
            others = (run.run_id for run in self.runs(KEPT_RUNS + 1) if run.run_id != run_id)
            runs = [run_id, *others]  # the newest, even if the clock was set back
            self._delete("run", "", map(key_of, runs[KEPT_RUNS:]))
            self._delete("report", "", map(key_of, runs[KEPT_RUNS:]))
            self._delete_owners("problem", runs[:KEPT_PROBLEM_RUNS])
            self._delete_owners("count", runs[:KEPT_RUNS])

    def save_progress(self, run_id: str, totals: Totals, at: float, expected: Expected | None = None) -> None:
        """Write the totals so far; `at` is in seconds since the epoch, `expected` what the counter found by then."""
        self._change_run(run_id, lambda row: replace(row, totals=totals, progress_at=at, expected=expected))

    def end_run(self, run_id: str, *, exit_status: int, ended_at: float, totals: Totals) -> None:
        """Write the last totals and the exit status; a run without them counts as killed."""
        self._change_run(run_id, lambda row: replace(row, totals=totals, exit_status=exit_status, ended_at=ended_at))

    def save_report(self, run_id: str, report: dict[str, object]) -> None:
        """Keep what a run's report has besides the totals and problems, which are kept anyway."""
        self._put("report", "", [(run_id, report)])

    def report(self, run_id: str) -> dict[str, object] | None:
        """What was kept of a run's report; None for runs of versions that kept none."""
        return self._get("report", "", key_of(run_id), record_codec.read_report)

    def run(self, run_id: str) -> RunRow | None:
        """One run by its id."""
        return self._get("run", "", key_of(run_id), record_codec.read_run)

    def runs(self, limit: int = KEPT_RUNS) -> list[RunRow]:
        """The last runs, newest first."""
        rows = self._read("run", "", record_codec.read_run)
        return sorted(rows, key=lambda row: (row.started_at, row.run_id), reverse=True)[:limit]

    def record_problems(self, run_id: str, problems: Iterable[Problem]) -> None:
        """Add problems to a run: all are counted, the first `KEPT_PROBLEMS` are kept."""
        with self.transaction():
            counts = Counter(self.problem_counts(run_id))
            self._put("problem", run_id, _numbered(problems, counts))
            self._put("count", run_id, counts.items())

    def forget_problems(self, run_id: str) -> None:
        """Forget what a run met: it looks at everything anew."""
        with self.transaction():
            for kind in ("problem", "count"):
                self._delete_owner(kind, key_of(run_id))

    def problems(self, run_id: str, limit: int = KEPT_PROBLEMS, offset: int = 0) -> list[Problem]:
        """A run's problems in the order in which they were recorded."""
        return self._read(
            "problem", run_id, lambda _, value: record_codec.read_problem(value), limit=limit, offset=offset
        )

    def problem_counts(self, run_id: str) -> dict[str, int]:
        """How many problems of each kind a run met, kept or not."""
        return dict(self._read("count", run_id, record_codec.read_problem_count))

    def record_finished(self, folders: Iterable[FinishedFolder]) -> None:
        """Write down index folders of which every raw file is at the target, with their fingerprints."""
        self._put_all(
            ("finished", each.organization, each.prefix, record_codec.finished_body(each)) for each in folders
        )

    def finished(self, organization: str, prefix: str = "") -> dict[str, FinishedFolder]:
        """The finished folders of an organization within a shard's prefix, by their own prefixes, ascending."""
        rows = self._read("finished", organization, partial(record_codec.read_finished, organization), start=prefix)
        return {row.prefix: row for row in rows}

    def forget_folders(self, folders: Iterable[tuple[str, str]]) -> None:
        """Forget finished folders, each named by organization and prefix."""
        self._forget("finished", folders)

    def forget_finished(self, organization: str | None = None) -> None:
        """Forget the finished folders of one organization, or of all."""
        with self.transaction():
            if organization is None:
                self._connection.execute("DELETE FROM facts WHERE kind = 'finished'")
            else:
                self._delete_owner("finished", key_of(organization))

    def record_proven(self, shards: Iterable[ProvenShard]) -> None:
        """Remember what a verification has proven so far."""
        self._put_all(("proven", each.organization, each.prefix, record_codec.proven_body(each)) for each in shards)

    def proven(self, organization: str, prefix: str) -> ProvenShard | None:
        """What a verification that was broken off has proven of a shard."""
        return self._get("proven", organization, key_of(prefix), partial(record_codec.read_proven, organization))

    def forget_proven(self) -> None:
        """Forget what verifications have proven: the next one begins anew."""
        with self.transaction():
            self._connection.execute("DELETE FROM facts WHERE kind = 'proven'")

    def record_provisional(self, copies: Iterable[Provisional]) -> None:
        """Write down copies that may be replaced once, since their source was being written."""
        self._put_all(
            ("provisional", each.organization, each.raw_id, record_codec.provisional_body(each)) for each in copies
        )

    def provisional(self, organization: str, prefix: str = "") -> dict[RawId, Provisional]:
        """The copies of an organization's young raw files within a shard's prefix, ascending."""
        rows = self._read(
            "provisional", organization, partial(record_codec.read_provisional, organization), start=prefix
        )
        return {row.raw_id: row for row in rows}

    def settle_provisional(self, raw_files: Iterable[tuple[str, RawId]]) -> None:
        """Forget that the copies of these raw files were provisional."""
        self._forget("provisional", raw_files)

    def record_upload(self, upload: UnfinishedUpload) -> None:
        """Remember a multipart upload before its first part is sent."""
        self._put_all([("upload", upload.organization, upload.raw_id, record_codec.upload_body(upload))])

    def forget_upload(self, upload: UnfinishedUpload) -> None:
        """Forget one that became an object or was aborted."""
        self._forget("upload", [(upload.organization, upload.raw_id)])

    def uploads(self, organization: str, prefix: str = "") -> tuple[UnfinishedUpload, ...]:
        """The unfinished uploads of an organization within a shard's prefix, ascending."""
        return tuple(self._read("upload", organization, partial(record_codec.read_upload, organization), start=prefix))

    def all_uploads(self) -> tuple[UnfinishedUpload, ...]:
        """The unfinished uploads of all organizations."""
        with self._explained():
            owners = self._connection.execute(
                "SELECT DISTINCT owner FROM facts WHERE kind = 'upload' ORDER BY owner"
            ).fetchall()
        organizations = [text_of(owner) for (owner,) in owners]
        return tuple(upload for each in organizations if each is not None for upload in self.uploads(each))

    def save_abilities(self, endpoint: str, abilities: dict[str, object], at: float) -> None:
        """Write down what a server was found to do; `at` is in seconds since the epoch."""
        self._put("abilities", "", [(endpoint, record_codec.abilities_body(abilities, at))])

    def abilities(self, endpoint: str, now: float, max_age: float = 86400.0) -> dict[str, object] | None:
        """What a server was seen to do, unless that is older than `max_age` seconds or lies in the future."""
        found = self.observation(endpoint)
        return found[1] if found and 0 <= now - found[0] <= max_age else None

    def observation(self, name: str) -> tuple[float, dict[str, object]] | None:
        """When something was looked at (seconds since the epoch), and what was seen; the same store as `save_abilities`."""
        return self._get("abilities", "", key_of(name), lambda _, value: record_codec.read_abilities(value))

    def _change_run(self, run_id: str, change: Callable[[RunRow], RunRow]) -> None:
        with self.transaction():
            row = self._get("run", "", key_of(run_id), record_codec.read_run)
            if row is not None:
                self._put_run(change(row))

    def _put_run(self, row: RunRow) -> None:
        self._put("run", "", [(row.run_id, record_codec.run_body(row))])

    def _put(self, kind: str, owner: str, values: Iterable[tuple[str, object]]) -> None:
        self._put_all((kind, owner, name, value) for name, value in values)

    def _put_all(self, rows: Iterable[tuple[str, str, str, object]]) -> None:
        with self.transaction():
            self._connection.executemany(INSERT, self._sealed(rows))

    def _sealed(self, rows: Iterable[tuple[str, str, str, object]]) -> Iterator[tuple[str, str, str, str, bytes]]:
        for kind, owner, name, value in rows:
            row = (kind, key_of(owner), key_of(name), record_codec.encode(value))
            yield *row, self._sealer.seal(*row)

    def _get(self, kind: str, owner: str, name: str, read: Callable[[str, object], T | None]) -> T | None:
        rows = self._select(kind, owner, read, (name, name + "\x01", 1, 0))
        return rows[0] if rows else None

    def _read(
        self,
        kind: str,
        owner: str,
        read: Callable[[str, object], T | None],
        *,
        start: str = "",
        limit: int = -1,
        offset: int = 0,
    ) -> list[T]:
        """The sound facts of one owner whose names begin with `start`, by name."""
        return self._select(kind, owner, read, (start, start + "\x7f", limit, offset))

    def _select(
        self, kind: str, owner: str, read: Callable[[str, object], T | None], window: tuple[str, str, int, int]
    ) -> list[T]:
        """Read facts; delete those that were not written by this module for these locations."""
        sound: list[T] = []
        unsound: list[str] = []
        key = key_of(owner)
        with self._explained():
            for name, body, seal in self._connection.execute(SELECT, (kind, key, *window)):
                is_sealed = isinstance(body, str) and seal == self._sealer.seal(kind, key, name, body)
                value = read(name, record_codec.decode(body)) if is_sealed else None
                if value is None:
                    unsound.append(name)
                else:
                    sound.append(value)
        if unsound and self._file.is_writable:
            with self.transaction():
                self._delete(kind, key, unsound)
        return sound

    def _forget(self, kind: str, facts: Iterable[tuple[str, str]]) -> None:
        """Delete facts of this kind, each named by organization and name."""
        with self.transaction():
            for organization, name in facts:
                self._delete(kind, key_of(organization), [key_of(name)])

    def _delete(self, kind: str, owner: str, names: Iterable[str]) -> None:
        rows = ((kind, owner, name) for name in names)
        self._connection.executemany("DELETE FROM facts WHERE kind = ? AND owner = ? AND name = ?", rows)

    def _delete_owner(self, kind: str, owner: str) -> None:
        self._connection.execute("DELETE FROM facts WHERE kind = ? AND owner = ?", (kind, owner))

    def _delete_owners(self, kind: str, kept: Iterable[str]) -> None:
        """Delete the facts of all runs but these. Whatever run has problems has counts, of which there are few to look through."""
        owners = self._connection.execute("SELECT DISTINCT owner FROM facts WHERE kind = 'count'").fetchall()
        for owner in {row[0] for row in owners} - set(map(key_of, kept)):
            self._delete_owner(kind, owner)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FILE_ERRORS as error:
            if is_damage(error):
                self._is_damaged = True
                raise MustStop(
                    "ledger-damaged",
                    f"The ledger {self.path} was damaged while it was in use.",
                    why=str(error),
                    cure="Rerun: a new one is made from both ends.",
                ) from error
            if isinstance(error, sqlite3.OperationalError):
                raise trouble(MustStop, "ledger-unwritable", self.path, error) from error
            raise


def _numbered(problems: Iterable[Problem], counts: Counter[str]) -> Iterator[tuple[str, object]]:
    """Count all problems into `counts`; pass on those that are kept."""
    number = sum(counts.values())
    for problem in problems:
        counts[problem.kind] += 1
        if number < KEPT_PROBLEMS:
            yield f"{number:06}", record_codec.problem_body(problem)
        number += 1


@contextmanager
def ledger_read(state: StateFolder, source_identity: str, target_identity: str) -> Iterator[Ledger | None]:
    """Open the ledger of a pair of locations for reading; None where there is none. Raises CannotStart."""
    path = state.ledger_path(source_identity, target_identity)
    ledger = Ledger.open_to_read(path, source_identity=source_identity, target_identity=target_identity)
    with ledger or nullcontext():
        yield ledger


def ledgers_read(paths: Iterable[Path]) -> Iterator[Ledger]:
    """Open each of these ledgers for reading while it is looked at; what is no ledger, or damaged, is left out. Raises CannotStart."""
    for path in paths:
        ledger = Ledger.open_to_read(path)
        if ledger is not None:
            with ledger:
                yield ledger
