"""Spreads a run of prune over workers: everything is proven and written down first; batches are given out to be deleted after that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from migrator.checks.prune.deletion import BATCH, batches
from migrator.checks.prune.deletion_errors import surprising
from migrator.checks.prune.deletion_manifest import ManifestOfRun
from migrator.checks.prune.ends import Asks
from migrator.checks.prune.messages import Counted, DeleteBatch, Event, ProveShard, PruneSurveyed, ShardProven, Unit
from migrator.checks.prune.tallies import Pruned
from migrator.checks.prune.worker import ASKED
from migrator.checks.sample import AuditSample
from migrator.core.cancellation import Flag
from migrator.core.entities import RawFile, shards_of
from migrator.core.errors import Interrupted, MigratorError
from migrator.core.notices import Problem
from migrator.sync.messages import Survey, UnitEnded

FIRST = 100
"""Deleted raw files after which a running Bytes is asked for some of them."""
_UNITS_AHEAD = 4
"""Shards that wait for each worker, so that none waits for the coordinator. Batches do not wait: each begins right after its check."""
_WAIT = 0.5


class PruneEngine(Protocol):
    """Workers that take units and tell events."""

    @property
    def workers(self) -> int:
        """How many there are."""
        ...

    def submit(self, unit: Unit) -> None:
        """Give one of them a unit."""
        ...

    def next_event(self, timeout: float) -> Event | None:
        """What one of them told next, None after `timeout` seconds. Raises MustStop if one died."""
        ...


class PruneCoordinator:
    """Used by one thread. `pruned` is what the run has come to so far. `halt` is seen by all workers, and set by whoever meets an error."""

    def __init__(
        self,
        engine: PruneEngine,
        *,
        halt: Flag,
        count: Callable[[str], Callable[[int], None]],
        listed: Callable[[Problem], None] = lambda problem: None,
    ) -> None:
        """`count` gives, for "proven" and "deleted", what is called with numbers of files; `listed` is called with each problem."""
        self.pruned = Pruned()
        self._engine = engine
        self._halt = halt
        self._count_proven, self._count_deleted = count("proven"), count("deleted")
        self._listed = listed
        self._out = 0
        self._error: MigratorError | None = None
        self._todo: deque[Unit] = deque()
        self._sheets: dict[str, dict[str, str]] = {}
        self._sample = AuditSample(ASKED, 0)

    def prove(self, organizations: Sequence[str], manifest: ManifestOfRun | None) -> Sequence[RawFile]:
        """Prove everything and, if there is a manifest, write down what could go; return a sample of that.

        Raises:
            Interrupted: If the run is asked to stop.
            MigratorError: If something else ends it.
        """
        self._sheets = {organization: {} for organization in organizations}
        for organization in organizations:
            self.pruned.of(organization)
        self._todo.extend(map(Survey, organizations))
        while self._out or (self._todo and not self._halt.is_set()):
            while self._todo and self._out < self._engine.workers * _UNITS_AHEAD and not self._halt.is_set():
                self._submit(self._todo.popleft())
            self._take_event()
        self.pruned.problems.sort(key=lambda problem: (problem.organization, problem.where))
        self._refuse_error()
        if self._halt.is_set():
            raise Interrupted("interrupted", "The run was asked to stop.")
        if manifest is not None:
            manifest.put_together(self._sheets)
        return [RawFile(row.organization, row.raw_id) for row in self._sample.rows()]

    def delete(
        self,
        manifest: ManifestOfRun,
        organizations: Iterable[str],
        *,
        still_held: Callable[[str], None] = lambda organization: None,
        asks: Asks | None = None,
    ) -> None:
        """Have everything deleted that the manifest names, unless the run is asked to stop.

        `still_held` raises MustStop if another run could delete at either end by now; called before each batch of an organization.
        `asks` is asked for some of the first hundred raw files once they are deleted, or of all where there are fewer.

        Raises:
            MigratorError: At the first surprise; what was deleted by then is counted.
        """
        lead = _Lead(asks)
        try:
            for organization in organizations:
                for batch in batches(manifest.rows(organization), lead.most):
                    self._wait_for(1 if lead.is_open else self._engine.workers)
                    if self._halt.is_set():
                        break
                    with surprising():
                        still_held(organization)
                    self._submit(DeleteBatch(batch))
                    if lead.is_open:
                        self._wait_for(1)
                        self._refuse_error()
                        lead.deleted(raw_file for raw_file, _ in batch)
            self._wait_for(1)
            if not self._halt.is_set():
                lead.ask()
        except MigratorError as error:
            self._fail(error)
        self._wait_for(1)
        self._refuse_error()

    def _submit(self, unit: Unit) -> None:
        self._out += 1
        self._engine.submit(unit)

    def _wait_for(self, workers: int) -> None:
        """Wait until fewer than so many units are out."""
        while self._out >= workers:
            self._take_event()

    def _take_event(self) -> None:
        """Take in one event, if one comes soon.

        Raises:
            MustStop: If a worker died: its units never end.
        """  # noqa: DOC501 made by the engine
        try:
            event = self._engine.next_event(_WAIT)
        except MigratorError:
            self._out = 0
            self._halt.set()
            raise
        if isinstance(event, Counted):
            self._count(event)
        elif isinstance(event, PruneSurveyed):
            self._todo.extendleft(reversed([ProveShard(one) for one in shards_of(event.organization, event.length)]))
        elif isinstance(event, ShardProven):
            self._sheets[event.shard.organization][event.shard.prefix] = event.sheet
            for row in event.sample:
                self._sample.offer(row)
        elif isinstance(event, UnitEnded):
            self._out -= 1
            if event.error is not None:
                self._fail(event.error)

    def _count(self, event: Counted) -> None:
        self.pruned.merge(event.pruned)
        for problem in event.pruned.problems:
            self._listed(problem)
        if event.proven:
            self._count_proven(event.proven)
        if event.deleted:
            self._count_deleted(event.deleted)

    def _fail(self, error: MigratorError) -> None:
        """Keep the first error, but any other rather than that the run was asked to stop: an error asks the other workers to stop."""
        if self._error is None or isinstance(self._error, Interrupted):
            self._error = error
        self._halt.set()

    def _refuse_error(self) -> None:
        """Raise what ended the run.

        Raises:
            MigratorError: If something did.
        """
        if self._error is not None:
            raise self._error


class _Lead:
    """The first raw files that go, of which a running Bytes is asked for some. Without one, there are none."""

    def __init__(self, asks: Asks | None) -> None:
        self._asks = asks
        self._gone: list[RawFile] = []

    @property
    def is_open(self) -> bool:
        """Return True until it was asked."""
        return self._asks is not None

    def most(self) -> int:
        """Return how many raw files the next batch may have."""
        return BATCH if self._asks is None else FIRST - len(self._gone)

    def deleted(self, raw_files: Iterable[RawFile]) -> None:
        """Take down what went, and ask once it is enough. Raises MigratorError."""
        self._gone += raw_files
        if len(self._gone) >= FIRST:
            self.ask()

    def ask(self) -> None:
        """Ask for a sample of what went first, if nobody asked yet. Raises MigratorError."""
        if self._asks is not None:
            self._asks.after(self._gone[:: max(1, len(self._gone) // ASKED)][:ASKED])
            self._asks = None
