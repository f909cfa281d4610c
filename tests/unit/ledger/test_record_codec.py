"""What a ledger keeps: finished folders, provisional copies, runs, problems, abilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.core.entities import RawId
from migrator.core.notices import NoticeKind, Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally
from migrator.ledger import ledger as ledger_module
from migrator.ledger.database import INSERT
from migrator.ledger.ledger import Ledger
from migrator.ledger.record_codec import PROBLEM_KINDS, Sealer, encode
from tests.unit.ledger.scene import (
    NOW,
    RAW_ID,
    SOURCE,
    TARGET,
    TOTALS,
    begin,
    change,
    copy_of,
    folder_of,
    opened,
    problem_of,
)


def test_a_shards_finished_folders_are_those_of_its_prefix(ledger: Ledger) -> None:
    every = [folder_of(number) for number in range(0, 4096, 5)]
    ledger.record_finished([*every, folder_of(0xABC, "acme-2"), folder_of(0xABC, "acm")])
    for prefix in ("", "a", "f", "ab", "0", "abc", "abe"):
        expected = {folder.prefix: folder for folder in every if folder.prefix.startswith(prefix)}
        assert ledger.finished("acme", prefix) == expected
    assert ledger.finished("unknown") == {}


def test_recording_a_folder_again_replaces_what_was_known(ledger: Ledger) -> None:
    ledger.record_finished([folder_of(1)])
    newer = folder_of(1)._replace(files=99)
    ledger.record_finished([newer])
    assert ledger.finished("acme") == {"001": newer}


def test_single_folders_can_be_forgotten(ledger: Ledger) -> None:
    ledger.record_finished([folder_of(1), folder_of(2), folder_of(1, "b-2")])
    ledger.forget_folders([("acme", "001"), ("acme", "fff"), ("unknown", "001")])
    assert ledger.finished("acme") == {"002": folder_of(2)}
    assert ledger.finished("b-2") == {"001": folder_of(1, "b-2")}


@pytest.mark.parametrize(("organization", "left"), [("acme", ["b-2"]), (None, []), ("b", ["acme", "b-2"])])
def test_finished_folders_can_be_forgotten(ledger: Ledger, organization: str | None, left: list[str]) -> None:
    ledger.record_finished([folder_of(1, "acme"), folder_of(1, "b-2")])
    ledger.forget_finished(organization)
    assert [each for each in ("acme", "b-2") if ledger.finished(each)] == left


def test_provisional_copies_are_kept_until_they_are_settled(ledger: Ledger) -> None:
    one, two = copy_of(RAW_ID), copy_of("abd00000-0000-4000-8000-000000000001", version="x" * 256)
    ledger.record_provisional([one, two, copy_of(RAW_ID, "other")])
    assert ledger.provisional("acme") == {one.raw_id: one, two.raw_id: two}
    assert ledger.provisional("acme", "abc") == {one.raw_id: one}
    ledger.settle_provisional([("acme", one.raw_id), ("acme", RawId("never there"))])
    assert ledger.provisional("acme") == {two.raw_id: two}
    assert ledger.provisional("other").keys() == {RAW_ID}


def test_a_run_is_told_from_its_beginning_to_its_end(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    (row,) = ledger.runs()
    assert (row.run_id, row.command, row.source, row.target) == ("run-1", "migrate", "disk", "s3")
    assert (row.settings_fingerprint, row.started_at) == ("f00", NOW)
    assert (row.progress_at, row.ended_at, row.exit_status, row.totals) == (None, None, None, {})
    totals = {"acme": Tally().as_dict()}
    ledger.save_progress("run-1", totals, NOW + 1)
    assert (ledger.runs()[0].progress_at, ledger.runs()[0].totals, ledger.runs()[0].ended_at) == (NOW + 1, totals, None)
    ledger.end_run("run-1", exit_status=1, ended_at=NOW + 2, totals=TOTALS)
    assert (ledger.runs()[0].exit_status, ledger.runs()[0].ended_at, ledger.runs()[0].totals) == (1, NOW + 2, TOTALS)
    ledger.save_progress("unknown", TOTALS, NOW)
    assert len(ledger.runs()) == 1


def test_the_last_hundred_runs_are_kept_newest_first_and_problems_of_the_last_ten(ledger: Ledger) -> None:
    for number in range(105):
        begin(ledger, f"run-{number}", NOW + number)
        ledger.record_problems(f"run-{number}", [problem_of(number)])
        ledger.save_report(f"run-{number}", {"number": number})
    assert [row.run_id for row in ledger.runs()] == [f"run-{number}" for number in range(104, 4, -1)]
    assert [row.run_id for row in ledger.runs(2)] == ["run-104", "run-103"]
    assert [number for number in range(105) if ledger.problems(f"run-{number}")] == list(range(95, 105))
    assert [number for number in range(105) if ledger.problem_counts(f"run-{number}")] == list(range(5, 105))
    assert [number for number in range(105) if ledger.report(f"run-{number}")] == list(range(5, 105))
    assert [number for number in range(105) if ledger.run(f"run-{number}")] == list(range(5, 105))


def test_a_clock_that_was_set_back_does_not_lose_the_new_run(ledger: Ledger) -> None:
    for number in range(101):
        begin(ledger, f"run-{number}", NOW + number)
    begin(ledger, "late", 1.0)
    ledger.save_progress("late", TOTALS, 2.0)
    assert len(ledger.runs(1000)) == 100
    assert ledger.runs(1000)[-1].run_id == "late"
    assert ledger.runs(1000)[-1].progress_at == 2.0


@pytest.mark.parametrize("kind", [kind.value for kind in (*Outcome, *NoticeKind)])
def test_every_kind_of_problem_is_kept_whatever_its_text(ledger: Ledger, kind: str) -> None:
    problem = Problem(kind, "gemeente-éé", "/data/\udcff\x00\n'; --", "市 \U0001f600", "", 2**70)
    ledger.record_problems("run", [problem, problem_of(1)])
    assert ledger.problems("run") == [problem, problem_of(1)]
    assert kind in PROBLEM_KINDS


def test_problems_come_in_order_and_in_pages(ledger: Ledger) -> None:
    problems = [problem_of(number, "conflict" if number % 3 else "failed") for number in range(1100)]
    for start in range(0, 1100, 100):
        ledger.record_problems("run", problems[start : start + 100])
    assert ledger.problems("run") == problems
    assert ledger.problems("run", limit=20, offset=990) == problems[990:1010]
    assert ledger.problem_counts("run") == {"failed": 367, "conflict": 733}
    assert ledger.problems("ru") == ledger.problems("run2") == []


def test_beyond_the_bound_problems_are_counted_and_not_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger_module.KEPT_PROBLEMS == 100_000
    bound = 1200
    monkeypatch.setattr(ledger_module, "KEPT_PROBLEMS", bound)
    ledger.record_problems("run", (problem_of(number) for number in range(bound - 1)))
    ledger.record_problems("run", (problem_of(number, "stray") for number in range(500)))
    ledger.record_problems("run", [problem_of(0)])
    assert ledger.problem_counts("run") == {"failed": bound, "stray": 500}
    assert [problem.kind for problem in ledger.problems("run", offset=bound - 2)] == ["failed", "stray"]


@pytest.mark.parametrize(("age", "is_known"), [(0, True), (86400, True), (86400.5, False), (-1, False), (1e9, False)])
def test_abilities_are_known_for_a_day(ledger: Ledger, age: float, is_known: bool) -> None:
    abilities: dict[str, object] = {"conditional": True, "etag_is_md5": False, "note": ["é", None]}
    ledger.save_abilities("https://s3.example/é", abilities, NOW)
    assert ledger.abilities("https://s3.example/é", NOW + age) == (abilities if is_known else None)
    assert ledger.abilities("https://s3.example/", NOW) is None


def test_a_transaction_is_kept_as_a_whole_or_not_at_all(path: Path, ledger: Ledger) -> None:
    ledger.record_provisional([copy_of(RAW_ID)])

    def event(settled: Iterator[tuple[str, RawId]]) -> None:
        with ledger.transaction():
            ledger.record_finished([folder_of(1)])
            ledger.record_problems("run", [problem_of(1)])
            ledger.settle_provisional(settled)

    with pytest.raises(ZeroDivisionError):
        event(("acme", RAW_ID) for each in (1, 0) if 1 / each)
    assert (ledger.finished("acme"), ledger.problems("run"), len(ledger.provisional("acme"))) == ({}, [], 1)
    with ledger.transaction():
        ledger.record_finished([folder_of(1)])
        ledger.settle_provisional([("acme", RAW_ID)])
        reader = Ledger.open_to_read(path)
        assert reader is not None
        with reader:
            assert reader.finished("acme") == {}
    assert (len(ledger.finished("acme")), ledger.provisional("acme")) == (1, {})


@pytest.mark.parametrize("body", [[5, 17 * 10**17, 18 * 10**17, 1, 2], "5 1797a2d0 3b 1 2"], ids=["list", "text"])
def test_a_ledger_of_an_earlier_version_is_known_and_goes_on(path: Path, body: object) -> None:
    """Its folders count as unfinished once: their times do not tell that a file in them was written to."""
    older, newer = folder_of(1), folder_of(2)
    with opened(path) as made:
        made.record_finished([newer])
        made.record_provisional([copy_of(RAW_ID)])
    row = ("finished", "acme", older.prefix, encode(body))
    change(path, INSERT, *row, Sealer(SOURCE, TARGET).seal(*row))
    with opened(path) as made:
        assert made.findings == ()
        assert made.finished("acme") == {newer.prefix: newer}
        assert list(made.provisional("acme")) == [RAW_ID]
        made.record_finished([older])
        assert made.finished("acme") == {older.prefix: older, newer.prefix: newer}
