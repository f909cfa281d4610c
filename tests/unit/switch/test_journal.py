"""The journal of a switch says what was done, whatever a crash left of its last line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrator.ledger.directory import StateFolder
from migrator.switch.journal import SwitchEnd, SwitchJournal, SwitchPlan
from migrator.switch.steps import SwitchStep

PLAN = SwitchPlan(
    run="20260101-000000-abcdef",
    source="/data (disk)",
    target="s3://raw",
    ends=("disk /data", "s3 aws one raw"),
    deployment={"kind": "debian", "service": "kat-bytes"},
    settings={"kind": "file", "path": "/etc/kat/bytes.conf"},
    names=("S3_BUCKET",),
    old_digest="a",
    new_digest="b",
    words={"from": None, "to": "new.env"},
)


@pytest.fixture
def journal(tmp_path: Path) -> SwitchJournal:
    state = StateFolder(tmp_path)
    return SwitchJournal(state)


def written(journal: SwitchJournal) -> SwitchJournal:
    journal.begin(PLAN)
    for step in (SwitchStep.LOOK, SwitchStep.COPY, SwitchStep.STOP):
        journal.begin_step(step)
        journal.end_step(step)
    journal.begin_step(SwitchStep.LAST_PASS)
    return journal


def test_it_says_what_was_written(journal: SwitchJournal) -> None:
    assert journal.story() is None
    story = written(journal).story()
    assert story is not None
    assert story.plan == PLAN
    assert [(one.step, one.ended is None) for one in story.steps] == [
        (SwitchStep.LOOK, False), (SwitchStep.COPY, False), (SwitchStep.STOP, False), (SwitchStep.LAST_PASS, True)
    ]  # fmt: skip
    assert story.is_open
    assert story.downtime_seconds is not None
    assert not story.began(SwitchStep.START)
    journal.end(SwitchEnd.SWITCHED)
    ended = journal.story()
    assert ended is not None
    assert ended.end is SwitchEnd.SWITCHED


def test_every_beginning_of_it_can_be_read_and_gone_on_with(journal: SwitchJournal) -> None:
    whole = written(journal).path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        story = journal.story()
        complete = whole[:length].count(b"\n")
        assert (story is None) == (complete == 0)
        if story is not None:
            journal.note_restored()
            again = journal.story()
            assert again is not None
            assert again.is_restored
            assert [one.step for one in again.steps] == [one.step for one in story.steps]


def test_lines_that_say_nothing_are_passed_over(journal: SwitchJournal) -> None:
    with written(journal).path.open("ab") as file:
        file.write(b'not json\n{"step": "unheard-of", "state": "done", "at": 1}\n[]\n{"end": 5}\n')
    story = journal.story()
    assert story is not None
    assert story.is_open


def test_an_ended_journal_is_kept_beside_the_next_one(journal: SwitchJournal) -> None:
    written(journal).end(SwitchEnd.ROLLED_BACK)
    journal.begin(PLAN)
    aside = journal.path.with_name(f"switch-{PLAN.run}.journal")
    assert json.loads(aside.read_bytes().splitlines()[-1])["end"] == "rolled-back"
    story = journal.story()
    assert story is not None
    assert story.is_open
    assert not story.steps
