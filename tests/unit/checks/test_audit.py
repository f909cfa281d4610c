"""The audit's pass on stores in memory: what is asked for, what is told, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from migrator.checks.audit.audit import ALL_ALIKE, Audit, AuditedEnds
from migrator.checks.audit.content_check import ContentVerdict, RecordProver
from migrator.checks.audit.database_row import Recorded
from migrator.checks.audit.tally import Kind
from migrator.config.time_filter import ANY_AGE
from migrator.core.cancellation import StopFlag
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import Interrupted, MustStop, SourceChanged
from migrator.sync.messages import ProgressEvent
from tests.fakes import FailingStore, Schedule
from tests.memory_store import MemoryStore
from tests.postgres import secure_hash_of

ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
ENDED_US = int(ENDED.timestamp()) * 1_000_000


def raw_id(number: int) -> RawId:
    return RawId(f"{number % 4096:03x}{number:05x}-0000-4000-8000-000000000000")


def row(number: int, content: bytes = b"content", organization: str = "alpha") -> Recorded:
    return Recorded(organization, raw_id(number), secure_hash_of(content, ENDED), ENDED_US)


def store(*rows: Recorded, content: bytes = b"content", shard_length: int = 0) -> MemoryStore:
    made = MemoryStore(shard_length=shard_length)
    for one in rows:
        made.save(RawFile(one.organization, one.raw_id), content)
    return made


class Watched:
    """What an audit told, and a flag that stops it when it was told so much."""

    def __init__(self) -> None:
        self.stopping = StopFlag()
        self.told: list[ProgressEvent] = []

    def send(self, told: ProgressEvent) -> None:
        self.told.append(told)


def audit_of(
    target: MemoryStore | FailingStore,
    source: MemoryStore | None = None,
    *,
    prover: RecordProver | None = None,
    watched: Watched | None = None,
) -> Audit:
    watched = watched or Watched()
    return Audit(
        AuditedEnds(target=target, source=source, broken_rule=lambda organization: None),
        prover=prover,
        sample=None,
        ages=ANY_AGE,
        stopping=watched.stopping,
        send=watched.send,
    )


@pytest.mark.parametrize("length", [0, 1, 3])
def test_what_is_elsewhere_is_found_whatever_its_shards(length: int) -> None:
    rows = sorted(row(number * 37) for number in range(300))
    work = audit_of(store(*rows[::3]), store(*rows[1::3], shard_length=length))
    work.run(rows, ["alpha"])
    tally = work.audited.overall()
    assert (tally.rows.files, tally.readable.files, tally.elsewhere.files, tally.missing.files) == (300, 100, 100, 100)


class Listing(MemoryStore):
    """Takes down which shards were listed."""

    def __init__(self, **what: int) -> None:
        super().__init__(shard_length=3)
        self.listed: list[str] = []

    def scan(self, shard, notify):  # type: ignore[no-untyped-def]
        self.listed.append(shard.prefix)
        return super().scan(shard, notify)


def test_the_other_location_is_listed_only_where_something_is_missing() -> None:
    rows = sorted(row(number) for number in range(2000))
    absent = {rows[7].raw_id, rows[1500].raw_id}
    other = Listing()
    work = audit_of(store(*(one for one in rows if one.raw_id not in absent)), other)
    work.run(rows, ["alpha"])
    assert other.listed == [rows[7].raw_id[:3], rows[1500].raw_id[:3]]


def test_rows_out_of_order_end_the_run() -> None:
    for rows in ([row(5), row(3)], [row(3), row(3)], [row(1, organization="b"), row(1, organization="a")]):
        with pytest.raises(MustStop):
            audit_of(store(*rows)).run(rows, [])


def test_stopping_ends_it_with_what_was_seen() -> None:
    watched = Watched()

    def rows() -> Iterator[Recorded]:
        for number in range(100):
            if number == 40:
                watched.stopping.set()
            yield row(number)

    work = audit_of(store(*(row(number) for number in range(100))), watched=watched)
    work.run(rows(), ["alpha", "beta"])
    assert work.audited.overall().readable.files == 40
    assert "beta" not in work.audited.organizations


def test_progress_counts_each_row_once() -> None:
    rows = [row(number) for number in range(4095)]
    watched = Watched()
    audit_of(store(*rows[::2]), watched=watched).run(rows, [])
    assert sum(told.tally.discovered.files for told in watched.told) == len(rows)
    assert max(len(told.problems) for told in watched.told) <= 2000


@pytest.fixture
def unreadable() -> Iterator[tuple[Audit, list[Recorded]]]:
    rows = [row(number) for number in range(ALL_ALIKE + 20)]
    here = store(*rows)
    here.unreadable = {RawFile(one.organization, one.raw_id) for one in rows}
    prover = RecordProver(here, None, jobs=2)
    yield audit_of(here, prover=prover), rows
    prover.close()


def test_contents_none_of_which_can_be_read_are_one_message(unreadable: tuple[Audit, list[Recorded]]) -> None:
    work, rows = unreadable
    with pytest.raises(MustStop) as caught:
        work.run(rows, [])
    assert caught.value.name == "contents-unreadable"


def test_some_that_cannot_be_read_are_told_as_neither_proven_nor_altered(
    unreadable: tuple[Audit, list[Recorded]],
) -> None:
    work, rows = unreadable
    work.run(rows[: ALL_ALIKE - 1], [])
    tally = work.audited.overall()
    assert (tally.readable.files, tally.failed.files, tally.proven.files) == (ALL_ALIKE - 1,) * 2 + (0,)
    assert len(work.audited.problems[Kind.FAILED]) == ALL_ALIKE - 1
    assert not tally.is_clean


def test_one_that_vanishes_between_listing_and_reading_is_missing() -> None:
    rows = [row(1), row(2)]
    here = store(*rows)
    gone = here.stat(RawFile("alpha", rows[0].raw_id))
    assert gone is not None
    here.delete(RawFile("alpha", rows[0].raw_id))
    prover = RecordProver(here, None, jobs=1)
    assert prover.begin(rows[0], gone).result().ended is ContentVerdict.VANISHED
    prover.close()


def test_what_was_being_read_when_it_was_asked_to_stop_did_not_fail() -> None:
    """It is as what was not come to: the next audit reads it."""
    rows = sorted(row(number) for number in range(5))
    fault = Interrupted("interrupted", "The run was asked to stop.")
    target = FailingStore(store(*rows), Schedule({("open", 5): fault}))
    prover = RecordProver(target, None, jobs=1)
    work = audit_of(target, prover=prover)
    work.run(rows, ["alpha"])
    prover.close()
    tally = work.audited.overall()
    assert (tally.readable.files, tally.proven.files, tally.failed.files) == (4, 4, 0)
    assert work.audited.problems_total == 0


@pytest.mark.parametrize(("times", "proven", "failed"), [(1, 5, 0), (2, 4, 1)])
def test_what_changes_while_it_is_read_is_read_once_more(times: int, proven: int, failed: int) -> None:
    """What was read of it proves nothing."""
    rows = sorted(row(number) for number in range(5))
    fault = SourceChanged("source-changed", "It changed while it was read.")
    at = {("finish", 3 + number): fault for number in range(times)}
    prover = RecordProver(FailingStore(store(*rows), Schedule(at)), None, jobs=1)
    work = audit_of(store(*rows), prover=prover)
    work.run(rows, ["alpha"])
    prover.close()
    tally = work.audited.overall()
    assert (tally.proven.files, tally.failed.files) == (proven, failed)
