"""What the bulk lane carries counts for the careful one: a server that answers is there, and lets us."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.entities import RawFile
from migrator.core.errors import Unavailable
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.transfer.batch_sink import BatchSink
from migrator.transfer.file_copier import FileCopier, Stored
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryStore

GOOD, BAD = RawFile("org", raw_id("0001")), RawFile("org", raw_id("0002"))


class Bulk:
    """A lane that carries the first raw file it is given, and declines all others once that has been taken."""

    def __init__(self, source: MemoryStore, target: MemoryStore) -> None:
        self._source, self._target = source, target
        self._steps: list[tuple[object, str, Step]] = []
        self._has_carried = False
        self.under_way = 0

    has_room = True

    def takes(self, step: Step) -> bool:
        return True

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        self.under_way += 1
        self._steps.append((ticket, organization, step))

    def carried(self, timeout: float) -> Iterator[Stored | tuple[object, str, Step]]:
        if not self._steps:
            return
        ticket, organization, step = self._steps.pop(0)
        self.under_way -= 1
        if self._has_carried:
            yield ticket, organization, step
            return
        self._has_carried = True
        raw_file = RawFile(organization, step.source.raw_id)
        with self._source.open(raw_file, step.source) as content:
            yield Stored(ticket, raw_file, Result(step.source, Outcome.COPIED), self._target.store(raw_file, content))

    def close(self) -> None:
        """Nothing is open."""


def test_a_success_of_the_bulk_lane_keeps_the_careful_one_trying() -> None:
    """`at_first` is 0: without any success, the first failure would end the run."""
    source, target = MemoryStore(), MemoryStore()
    for raw_file in (GOOD, BAD):
        source.save(raw_file, b"content")
    fault = Unavailable("unreachable", "Gone.")
    failing = FailingStore(target, Schedule({("store", 1): fault, ("store", 2): fault}))
    careful = FileCopier(source, failing, jobs=1, patience=quick_patience(seconds=60, at_first=0))
    transfer = BatchSink(failing, careful, Bulk(source, target))
    for raw_file in (GOOD, BAD):
        entry = source.stat(raw_file)
        assert entry is not None
        transfer.submit(raw_file, "org", Step(Action.COPY, entry, None))
    answers = []
    while len(answers) < 2:
        answers += transfer.answers(flush=True)
    transfer.close()
    assert [(answer.result.outcome, answer.stop) for answer in answers] == [(Outcome.COPIED, None)] * 2
    assert target.contents() == source.contents()
