"""The guard's entry point: know both ends while the settings still name them, wait, and take an unfinished switch back."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from migrator.app.options import Options
from migrator.app.switch_request import ends_of_plan
from migrator.app.switch_rollback import bring_back
from migrator.config.locations import Locations
from migrator.core.errors import MigratorError
from migrator.doctor.bytes_user import user_named
from migrator.ledger.directory import StateFolder
from migrator.reports.formatting import shown
from migrator.switch.guard import READY, wait_for_parents_death
from migrator.switch.journal import SwitchJournal
from migrator.switch.parts import parts_of
from migrator.switch.rollback import roll_back
from migrator.switch.steps import SwitchStep

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the guard. Its request is JSON: parent, state (a folder), owner and forced findings."""
    request = json.loads(sys.argv[2])
    for number in SIGNALS:  # a handler, for what is ignored would be ignored by Bytes too, which it may start
        signal.signal(number, _go_on)
    journal = SwitchJournal(StateFolder(Path(request["state"])))
    story = journal.story()
    if story is None:
        sys.exit(1)
    options = Options(
        state=StateFolder(Path(request["state"])),
        forced=frozenset(request["forced"]),
        owner=user_named(request["owner"]) if request["owner"] is not None else None,
    )
    store = parts_of(story.plan.deployment, story.plan.settings, story.plan.api).store
    locations = ends_of_plan(story.plan, store, os.environ)
    os.write(sys.stdout.fileno(), READY)
    wait_for_parents_death(request["parent"])
    if (found := journal.story()) is not None and found.is_half_way:
        _say("bytes-migrator died in the middle of a switch; the guard takes it back.")
    with journal.held(waits=True), suppress(OSError):
        take_back(journal, locations, options)


def _go_on(*_: object) -> None:
    """Do nothing: whoever ends a switch by a signal must not end what takes it back."""


def take_back(journal: SwitchJournal, locations: Locations, options: Options) -> None:
    """Take the unfinished switch back, and bring back what Bytes saved at the new place. An error is written down, not raised."""
    story = journal.story()
    if story is None or not story.is_open:
        return
    if story.is_reading_through:
        _say("Bytes is at its new place, and nginx reads through. To copy the rest, run the same command again.")
        return
    try:
        if story.began(SwitchStep.STOP):
            journal.note("the process that switched died")
        roll_back(journal, _say, lambda story: bring_back(locations, options, story, _say))
    except MigratorError as error:
        _say(f"error: {shown(str(error))} [{error.name}]")
        journal.note(error.what)


def _say(text: str) -> None:
    """Say it where the switch did; that terminal may be gone."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201
