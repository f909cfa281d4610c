"""One shard's way: list both ends → decide → count, told as events. Three generators in a row, pulled by a worker.

A shard is pulled for steps and pushed results, so that one thread can have several shards in flight and no request waits for the end of
another shard. What is kept of the outcomes is a tracker's business: the ledger's (`folder_tracking`), or a verification's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from migrator.core.entities import Entry, Pair, RawFile
from migrator.core.notices import Notice, NoticeKind, Problem
from migrator.core.outcomes import Outcome, Result, Step
from migrator.sync.messages import Assignment, ProgressEvent
from migrator.sync.shard.deciding import Extra, decide
from migrator.sync.shard.event_draft import SEND_AFTER_RESULTS, EventDraft
from migrator.sync.shard.listing import list_both, list_changed_folders, list_given
from migrator.sync.shard.pass_settings import Pass

EXTRA = "extra"
_UNREMARKABLE = frozenset({Outcome.COPIED, Outcome.PRESENT, Outcome.MISSING, Outcome.PROVEN})
_MOVED = frozenset({Outcome.COPIED, Outcome.MISSING})


class ShardPass:
    """One shard while it is worked through: `steps` gives what the sink has to do, `count` takes its answers.

    `draft` has the event that tells of them. For the worker: `under_way` steps are with the sink, `steps` is `exhausted`, or `broken` off.
    `overflow` takes what must not wait for the next step, however many names come before it.
    """

    def __init__(
        self, whole: Pass, assignment: Assignment, overflow: Callable[[ProgressEvent], None] | None = None
    ) -> None:
        self._pass = whole
        self._overflow = overflow
        self._assignment = assignment
        self.under_way = 0
        self.exhausted = False
        self.broken = False
        self.organization = assignment.shard.organization
        self.unit = assignment.number
        self.draft = EventDraft(self.organization, self.unit)
        self._tracker = whole.tracking(whole, assignment, self.draft)
        self.steps: Iterator[Step] = iter(()) if self._is_skipped() else self._steps(self._listed())

    def _listed(self) -> Iterator[Pair]:
        """The first generator: what both ends have, or as much of it as has to be looked at."""
        whole, assignment = self._pass, self._assignment
        if assignment.entries is not None:
            return list_given(assignment, assignment.entries)
        is_short = self._tracker.relies_on_folders and not assignment.lists_target
        if is_short and not assignment.target_is_empty:
            return list_changed_folders(whole, assignment.shard, self._notify, self._tracker.is_done)
        return list_both(whole, assignment, self._notify)

    def _steps(self, pairs: Iterable[Pair]) -> Iterator[Step]:
        """The second generator decides; the third, this one, yields what needs the sink and counts the rest on the way."""
        whole, rehearse = self._pass, self._pass.rehearse
        rules = whole.refusal if self.organization in whole.refused else whole.rules
        for decision in decide(
            self._tracker.watch(pairs),
            rules,
            own_version=self._own_version,
            stopping=whole.stopping,
            denied=self._assignment.denied,
        ):
            if isinstance(decision, Step):
                if rehearse is None:
                    yield decision
                else:
                    self._count_at_once(rehearse(self.organization, decision))
            elif isinstance(decision, Extra):
                self._note_extra(decision.entry)
            elif decision.outcome is Outcome.PENDING:
                self.draft.event.tally[Outcome.PENDING].add(decision.entry.size)
                self._tracker.left(decision.entry.raw_id)
            else:
                self._count_at_once(decision)

    def _count_at_once(self, result: Result) -> None:
        self.count(result)
        if self.draft.results >= SEND_AFTER_RESULTS:
            self._relieve()

    def count(self, result: Result) -> None:
        """Take down how a raw file ended."""
        entry, outcome, draft = result.entry, result.outcome, self.draft
        draft.results += 1
        draft.event.tally.outcomes[outcome].add(entry.size)
        draft.event.shape.add(entry.size, entry.modified_ns, moved=outcome in _MOVED)
        if outcome not in _UNREMARKABLE or result.reason:
            self._note_problem(result)
        if outcome is Outcome.COPIED and self._pass.tells_copied:
            draft.event.copied.append(entry)
        self._tracker.ended(result)

    def count_moved(self, moved: int) -> None:
        """Take in that so many bytes more of large files are on their way, or fewer where one has ended."""
        self.draft.event.in_flight += moved
        self.draft.results += 1

    def finish(self) -> ProgressEvent:
        """The last event: all steps were given out and all answers counted."""
        self._tracker.finish(self.draft.event)
        return self.draft.take()

    def _is_skipped(self) -> bool:
        """Whether an earlier run leaves nothing to do here; else nothing is told of the attempt."""
        overflow, self._overflow = self._overflow, None  # what is told cannot be taken back, and may have to be
        is_skipped = self._tracker.skips(self._listed, self._note_extra)
        self._overflow = overflow
        if not is_skipped:
            self.draft.take()
        return is_skipped

    def _own_version(self, pair: Pair) -> str | None:
        """The version of this program's copy: of one that was made while the raw file was young, or as the tracker knows."""
        provisional = self._assignment.provisional.get(pair.raw_id)
        return provisional.version if provisional is not None else self._tracker.own_version(pair)

    def _note_extra(self, target: Entry) -> None:
        if self._pass.is_partial:
            return
        self.draft.event.tally.extra.add(target.size)
        if self._pass.lists_extra:
            where = self._pass.target.describe(RawFile(self.organization, target.raw_id))
            self.draft.event.extra.append(
                Problem(EXTRA, self.organization, where, "only at the target", target.raw_id, target.size, where)
            )
            self._relieve()

    def _relieve(self) -> None:
        """Pass on what has piled up: a scan may go far before it comes to the next step."""
        if self._overflow and self.draft.is_long:
            self._overflow(self.draft.take())

    def _notify(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            self._tracker.unreadable()
        self.draft.event.note(notice)
        self._relieve()

    def _note_problem(self, result: Result) -> None:
        raw_file = RawFile(self.organization, result.entry.raw_id)
        self.draft.event.problems.append(
            Problem(
                result.outcome.value,
                self.organization,
                self._pass.source.describe(raw_file),
                result.reason,
                raw_file.raw_id,
                result.entry.size,
                self._pass.target.describe(raw_file),
                result.code,
                result.request_id,
            )
        )
