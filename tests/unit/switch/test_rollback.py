"""A rollback brings Bytes back from each step that a switch can have come to, also on a disk that is full by then."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from migrator.core.errors import MustStop
from migrator.ledger.directory import StateFolder
from migrator.switch import steps
from migrator.switch.journal import SwitchEnd, SwitchJournal
from migrator.switch.rollback import roll_back
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import digest
from migrator.switch.steps import SwitchStep
from tests.unit.switch.test_journal import PLAN
from tests.unit.switch.test_settings_file import NAMES, NEW, OLD, no_room

STEPS = list(steps.STEPS)


def come_to(last: SwitchStep, folder: Path) -> tuple[SwitchJournal, SettingsFile]:
    """A switch that died within this step."""
    path = folder / "bytes.conf"
    path.write_bytes(OLD)
    store = SettingsFile(path)
    started = {"kind": "own commands", "stop": f"touch {folder}/stopped", "start": f"touch {folder}/started"}
    plan = dataclasses.replace(
        PLAN, deployment=started, settings=store.spec(), names=NAMES, old_digest=digest(OLD), new_digest=digest(NEW)
    )
    journal = SwitchJournal(StateFolder(folder / "state"))
    (folder / "state").mkdir()
    journal.begin(plan)
    for step in STEPS[: STEPS.index(last) + 1]:
        journal.begin_step(step)
        if step is SwitchStep.COPY:
            store.stage(OLD, NEW, plan.run)
        if step is SwitchStep.SETTINGS:
            store.replace(OLD, NEW, plan.run)
        if step is not last:
            journal.end_step(step)
    return journal, store


@pytest.mark.parametrize("is_full", [False, True], ids=["with-room", "full"])
@pytest.mark.parametrize("last", STEPS, ids=lambda step: step.value)
def test_bytes_is_back_whatever_step_it_came_to(last: SwitchStep, tmp_path: Path, *, is_full: bool) -> None:
    journal, store = come_to(last, tmp_path)
    was_stopped, may_run_there = (
        STEPS.index(last) >= STEPS.index(step) for step in (SwitchStep.STOP, SwitchStep.SETTINGS)
    )
    brought: list[str] = []
    if is_full:
        with no_room():
            journal.note("the disk is full")
        with no_room(), pytest.raises(MustStop) as raised:
            roll_back(journal, lambda text: None, lambda story: brought.append(story.plan.run))
        assert raised.value.name == "switch-journal-unwritable"
        story = journal.story()
        assert story is not None
        assert story.is_open, "the next switch looks once more"
    else:
        story = roll_back(journal, lambda text: None, lambda story: brought.append(story.plan.run))
        assert story is not None
        assert story.end is (SwitchEnd.ROLLED_BACK if was_stopped else SwitchEnd.UNTOUCHED)
    assert store.read() == OLD
    assert (tmp_path / "started").exists() is was_stopped
    assert (tmp_path / "stopped").exists() is may_run_there, "a reboot starts Bytes with the settings that it finds"
    assert bool(brought) is may_run_there
