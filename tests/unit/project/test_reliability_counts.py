"""What several goes of a trial come to, on the page and in the file that keeps them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.counts import BEGIN, END, FIRST_SEED, Counts, Go, Goal, insert, table
from tests.soak.goals import GOALS, HELD_BY_TESTS, KEPT, MEASURES, PAGE, main, next_of

GOAL = {"kills": Goal("random kills", "0 lost", "kills", 1000)}
CLEAN = Go("kills", 400, 0, seed=26, date="2026-11-01")
FAULTY = Go("kills", 300, 2, seed=27, date="2026-11-02")
ROOT = Path(__file__).parents[3]


def row(*goes: Go) -> list[str]:
    return [cell.strip() for cell in table(GOAL, goes).splitlines()[2].strip("|").split("|")][2:]


def test_goes_add_up_until_there_are_enough() -> None:
    assert table(GOAL, ()).endswith("\nNot measured yet: random kills.\n")
    assert row(CLEAN) == ["0 wrong of 400 kills, 2026-11-01", "not yet: 1,000"]
    later = replace(CLEAN, tried=600, date="2026-11-05")
    assert row(CLEAN, later) == ["0 wrong of 1,000 kills, 2 goes, 2026-11-01 to 2026-11-05", "yes"]


def test_after_a_fault_what_was_tried_before_counts_no_more() -> None:
    assert row(CLEAN, FAULTY) == ["2 wrong of 300 kills, 2026-11-02", "**no**"]
    assert row(CLEAN, FAULTY, CLEAN) == [
        "0 wrong of 400 kills, 2026-11-01; 2 wrong of 300 on 2026-11-02, mended since",
        "not yet: 1,000",
    ]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 1)), min_size=1))
def test_a_goal_is_met_by_nothing_but_enough_without_a_fault(goes: list[tuple[int, int]]) -> None:
    made = [Go("kills", tried, wrong, date="2026-11-01") for tried, wrong in goes]
    since = []
    for tried, wrong in goes:
        since = [] if wrong else [*since, tried]
    assert (row(*made)[1] == "yes") == (sum(since) >= 1000)


def test_what_is_kept_reads_back_and_each_go_has_another_seed(tmp_path: Path) -> None:
    counts = Counts(tmp_path / "counts.ndjson")
    assert counts.next_seed(["kills"]) == FIRST_SEED
    for go in (CLEAN, FAULTY):
        counts.add(go)
    again = Counts(tmp_path / "counts.ndjson")
    assert again.goes == [CLEAN, FAULTY]
    assert again.next_seed(["kills"]) == 28
    assert again.next_seed(["another"]) == FIRST_SEED


def test_parts_of_a_go_are_kept_as_they_come_and_make_one_line(tmp_path: Path) -> None:
    kept = tmp_path / "counts.ndjson"
    counts = Counts(kept)
    for tried, wrong, said in ((3, 0, "of 9"), (2, 1, "of 8"), (4, 0, "of 7")):
        go = counts.add(replace(CLEAN, tried=tried, wrong=wrong, said=said))
        assert Counts(kept).goes == [go]  # what is killed now has lost nothing
    assert go == replace(CLEAN, tried=9, wrong=1, said="of 7")
    counts.add(replace(CLEAN, seed=27))
    counts.add(replace(CLEAN, commit="another"))
    assert [one.tried for one in Counts(kept).goes] == [9, 400, 400]


def test_a_later_go_knows_how_many_were_tried_since_the_last_fault() -> None:
    counts = Counts(None)
    assert counts.tried("kills") == 0
    for seed, go in enumerate((CLEAN, FAULTY, CLEAN, replace(CLEAN, tried=7), replace(CLEAN, goal="another"))):
        counts.add(replace(go, seed=seed))
    assert counts.tried("kills") == 407


def test_goes_of_points_continue_after_what_was_tried_and_come_round() -> None:
    every = list(range(10))
    first, second = next_of(every, 0), next_of(every, 7)
    assert first != every
    assert sorted(first[:7] + second[:3]) == every
    assert second[3:] == first[:7]
    assert next_of(every, 20) == first
    assert next_of([], 3) == []


def test_the_page_is_what_was_counted() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert insert(page, table(GOALS, Counts(ROOT / KEPT).goes)) == page
    assert page.count(BEGIN) == page.count(END) == 1


def test_the_page_can_be_written_without_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    Counts(tmp_path / KEPT).add(CLEAN)
    (tmp_path / PAGE).write_text("# Goals\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--page-only"]) == 0
    assert "| random SIGKILLs, both ways | " in (tmp_path / PAGE).read_text()


@pytest.mark.parametrize("node", sorted({node for nodes in HELD_BY_TESTS.values() for node in nodes}))
def test_what_holds_a_goal_is_there(node: str) -> None:
    path, _, name = node.partition("::")
    assert (ROOT / path).exists()
    assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["mutation", "coverage"])
def test_what_a_script_names_is_there(script: str) -> None:
    text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
    listed = " ".join(re.findall(r"modules\+?=\(([^)\"]*)\)", text)).split()
    tests = [name for line in re.findall(r"\) echo (unit/.*?) ;;", text) for name in line.split() if "{" not in name]
    assert listed
    assert [name for name in listed if not (ROOT / "migrator" / f"{name}.py").exists()] == []
    assert [name for name in tests if not (ROOT / "tests" / f"{name}.py").exists()] == []


def test_each_goal_has_a_trial() -> None:
    measured = [goal for _, goals in MEASURES.values() for goal in goals]
    assert sorted(measured) == sorted(GOALS)
