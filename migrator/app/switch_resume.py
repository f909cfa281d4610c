"""Goes on with a switch that reads through and did not come to its end, or goes back from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from migrator.app.catching_up import catch_up
from migrator.app.options import Options, Watch
from migrator.app.stopping import Stopping
from migrator.app.switch_copy_afterwards import Behind, sharing_nginx
from migrator.app.switch_lock import settings_held
from migrator.app.switch_plan import signed_in
from migrator.app.switch_request import SwitchRequest, ends_of_plan, swapped
from migrator.app.switch_rollback import bring_back, named, patience_after
from migrator.app.switch_run import StepLog
from migrator.config.locations import Locations
from migrator.core.errors import MustStop
from migrator.reports.switch_report import Switched
from migrator.switch.journal import Story, SwitchJournal
from migrator.switch.parts import Parts, parts_of
from migrator.switch.proxy import Proxy
from migrator.switch.rollback import roll_back


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSwitch:
    """A switch whose journal says that it reads through, and what the command that meets it was given. The journal's lock is held."""

    story: Story
    journal: SwitchJournal
    options: Options
    sample: int
    env_files: Sequence[Path]
    watch: Watch
    say: Callable[[str], None]
    stopping: Stopping

    @property
    def parts(self) -> Parts:
        """Return the installed Bytes, as the switch knows it."""
        return parts_of(self.story.plan.deployment, self.story.plan.settings, self.story.plan.api)

    def locations(self, environ: Mapping[str, str]) -> Locations:
        """Return both ends of the switch. Raises SettingsError."""
        return ends_of_plan(self.story.plan, self.parts.store, environ)


def go_on(open_switch: OpenSwitch, locations: Locations, environ: Mapping[str, str]) -> Switched:
    """Copy the rest, verify, and end reading through. Raises MigratorError."""
    plan, store = open_switch.story.plan, open_switch.parts.store
    request = SwitchRequest(env_files=tuple(map(str, open_switch.env_files)))
    api, _ = signed_in(open_switch.parts, store.settings(store.read()), request, environ)
    behind = Behind(
        plan=plan,
        locations=locations,
        proxy=Proxy.of(plan.proxy),
        options=sharing_nginx(open_switch.options),
        log=StepLog(open_switch.journal, open_switch.story.texts, open_switch.say, open_switch.stopping),
        api=api,
        sample=open_switch.sample,
        watch=open_switch.watch,
    )
    with settings_held(store, plan.ends):
        sample = behind.run()
    return Switched(
        proposal=None,
        story=open_switch.journal.story() or open_switch.story,
        sample=sample,
        backup=store.backup_name(plan.run),
    )


def go_back(open_switch: OpenSwitch, locations: Locations) -> Story:
    """Give Bytes its old settings again, with what it saved at the new place; then put nginx' file back.

    What Bytes saved is brought back before it is stopped, and what came in meanwhile once more after it.

    Raises:
        MustStop: If it did not end well.
    """
    plan = open_switch.story.plan
    found = catch_up(
        swapped(locations),
        open_switch.options,
        is_back=True,
        seconds=patience_after(open_switch.story, open_switch.options),
    )
    if not found.is_whole:
        raise MustStop(
            "switch-stays",
            f"What Bytes saved at {plan.target} could not be brought to {plan.source}: {found.unsure or named(found.lacking)}",
            why="Bytes works at the new place, and nginx reads through.",
            cure="Fix what it names, then rerun.",
        )

    def bring(story: Story) -> None:
        bring_back(locations, open_switch.options, story, open_switch.say)

    with settings_held(open_switch.parts.store, plan.ends):
        open_switch.journal.note_going_back()
        return roll_back(open_switch.journal, open_switch.say, bring) or open_switch.story
