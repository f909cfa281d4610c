"""Takes back a switch that failed or died, and copies to the old place what Bytes saved at the new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from migrator.app.catching_up import catch_up
from migrator.app.options import Options
from migrator.app.switch_lock import settings_held
from migrator.app.switch_request import ends_of_plan, swapped
from migrator.config.locations import Locations
from migrator.core.errors import MigratorError, MustStop
from migrator.reports.formatting import files
from migrator.switch.journal import Story, SwitchJournal
from migrator.switch.parts import parts_of
from migrator.switch.rollback import roll_back
from migrator.switch.steps import SwitchStep

_LONGEST_PATIENCE_SECONDS = 3600.0
"""The longest for which a pass is repeated while Bytes runs, however long the copying took."""

Say = Callable[[str], None]


def finish_unfinished(journal: SwitchJournal, options: Options, environ: Mapping[str, str], say: Say) -> Story | None:
    """Take back a switch that died; return what became of it, None where Bytes was never stopped. The journal's lock is held.

    Raises MustStop where Bytes could not be brought back.
    """
    story = journal.story()
    if story is None or not story.is_open:
        return None

    store = parts_of(story.plan.deployment, story.plan.settings, story.plan.api).store

    def bring(story: Story) -> None:
        try:
            locations = ends_of_plan(story.plan, store, environ)
        except MigratorError as error:
            raise _left_behind(story, error.what) from error
        bring_back(locations, options, story, say)

    with settings_held(store, story.plan.ends):
        if not story.began(SwitchStep.STOP):
            roll_back(journal, say, bring)
            return None
        journal.note(story.trouble or "the process that switched died")
        return roll_back(journal, say, bring)


def bring_back(locations: Locations, options: Options, story: Story, say: Say) -> None:
    """Copy to the old place what Bytes saved at the new one.

    Bytes runs meanwhile, with the old place. Raw files that the old place has stay as they are.

    Raises:
        MustStop: If a raw file is missing there, or nobody can tell.
    """  # noqa: DOC501 made by _left_behind
    found = catch_up(swapped(locations), options, is_back=True, seconds=patience_after(story, options))
    if not found.is_whole:
        raise _left_behind(story, found.unsure or named(found.lacking))
    say(f"What Bytes saved at the new place meanwhile is at the old one: {files(found.copied)}.")


def patience_after(story: Story, options: Options) -> float:
    """Return for how many seconds a pass is repeated that does not come to its end: a large store has waited for the copying too."""
    copying = next((one.ended - one.began for one in story.steps if one.step is SwitchStep.COPY and one.ended), 0.0)
    return max(options.patience, min(copying, _LONGEST_PATIENCE_SECONDS))


def named(lacking: Sequence[str]) -> str:
    """Name the first one, and how many more there are."""
    more = f" ({len(lacking) - 1} more)" if len(lacking) > 1 else ""
    return f"{lacking[0]}{more}"


def _left_behind(story: Story, why: str) -> MustStop:
    return MustStop(
        "switch-left-behind",
        f"Bytes is back at {story.plan.source}; what it saved meanwhile at {story.plan.target} could not be brought there: {why}",
        cure="Once both ends answer: bytes-migrator migrate --full, with --from and --to swapped.",
    )
