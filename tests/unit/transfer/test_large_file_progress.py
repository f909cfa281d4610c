"""Progress of large raw files: whatever reads, compares or proves one shows bytes, once, and takes them back when it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrator.checks.prover import AgainstManifest, Level, Prover
from migrator.checks.verify_sink import Prove
from migrator.core.entities import Entry, RawFile
from migrator.core.outcomes import Action, Outcome, Step
from migrator.core.protocols import Moved, Receipt, Source, ignore_moved
from migrator.core.size_thresholds import WHOLE_UP_TO
from migrator.transfer.file_copier import FileCopier
from migrator.transfer.large_file_progress import MeasuredSource, Meter
from tests.backends import raw_id
from tests.fakes import quick_patience
from tests.memory_store import MemoryStore

ONE = RawFile("org", raw_id("0001"))
LARGE = b"x" * (WHOLE_UP_TO + 1)
Told = list[tuple[object, int]]


class Copies(MemoryStore):
    """Copies by itself, in three parts."""

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        for part in (entry.size // 2, entry.size // 4, entry.size - entry.size // 2 - entry.size // 4):
            moved(part)
        with source.open(raw_file, entry) as content:
            return self.store(raw_file, content)


def holding(content: bytes | None, kind: type[MemoryStore] = MemoryStore, *, etags: bool = False) -> MemoryStore:
    store = kind(etags=etags)
    if content is not None:
        store.save(ONE, content)
    return store


def entry_of(store: MemoryStore) -> Entry:
    found = store.stat(ONE)
    assert found is not None
    return found


def copied(here: MemoryStore, there: MemoryStore) -> Told:
    action = Action.COPY if there.stat(ONE) is None else Action.COMPARE
    copier = FileCopier(here, there, jobs=1, patience=quick_patience())
    copier.submit("ticket", "org", Step(action, entry_of(here), there.stat(ONE)))
    list(copier.carried(10))
    told = list(copier.moved())
    copier.close()
    return told


def proven(here: MemoryStore, there: MemoryStore, level: Level) -> Told:
    meter = Meter()
    prover = Prover(MeasuredSource(here, meter), MeasuredSource(there, meter), level)
    return asked(Prove(prover, jobs=1, patience=quick_patience(), meter=meter), entry_of(here), entry_of(there))


def asked(sink: Prove, source: Entry, target: Entry) -> Told:
    sink.submit("ticket", "org", Step(Action.COMPARE, source, target))
    sink._pool.shutdown()
    [answer] = sink.answers(flush=True)
    assert answer.result.outcome in (Outcome.PROVEN, Outcome.CONFLICT)
    return list(sink.moved())


def against_manifest() -> Told:
    meter, there = Meter(), holding(LARGE)
    prover = AgainstManifest(holding(None), MeasuredSource(there, meter))
    entry = entry_of(there)._replace(etag="sha256 another")
    return asked(Prove(prover, jobs=1, patience=quick_patience(), meter=meter), entry, entry_of(there))


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param(lambda: copied(holding(LARGE), holding(None)), id="copied"),
        pytest.param(lambda: copied(holding(LARGE), holding(None, Copies)), id="copied by the server"),
        pytest.param(lambda: copied(holding(LARGE), holding(LARGE)), id="compared"),
        pytest.param(lambda: proven(holding(LARGE), holding(LARGE, etags=True), Level.ETAG), id="one end read"),
        pytest.param(lambda: proven(holding(LARGE), holding(LARGE), Level.CONTENT), id="both ends read"),
        pytest.param(lambda: proven(holding(LARGE), holding(LARGE[1:] + b"y"), Level.CONTENT), id="read twice"),
        pytest.param(against_manifest, id="against a manifest"),
    ],
)
def test_a_large_raw_file_comes_from_nothing_to_its_size_once(ways: Callable[[], Told]) -> None:
    told = ways()
    assert {ticket for ticket, _ in told} == {"ticket"}
    assert len([count for _, count in told if count > 0]) > 1, "it moves while it is under way"
    assert sum(count for _, count in told if count > 0) == len(LARGE)
    assert sum(count for _, count in told) == 0


@pytest.mark.parametrize("way", [copied, lambda here, there: proven(here, there, Level.CONTENT)])
def test_small_ones_tell_nothing(way: Callable[[MemoryStore, MemoryStore], Told]) -> None:
    assert way(holding(b"small"), holding(b"small")) == []


def test_a_reader_that_is_late_counts_no_more() -> None:
    meter = Meter()
    with meter.measuring("ticket", len(LARGE)):
        late = meter.counter()
        late(5)
    late(7)
    assert list(meter.moved()) == [("ticket", 5), ("ticket", -5)]
