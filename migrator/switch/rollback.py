"""Takes an unfinished switch back: the old settings, Bytes running, and a journal that says so. Can be called again at any point."""

from __future__ import annotations

import time
from collections.abc import Callable

from migrator.core.errors import CannotStart, MigratorError, MustStop
from migrator.switch.journal import Story, SwitchEnd, SwitchJournal
from migrator.switch.parts import Parts, parts_of
from migrator.switch.proxy import Proxy
from migrator.switch.settings_store import restore
from migrator.switch.steps import SwitchStep
from migrator.transfer.retry import ROUNDS

_RESTART_PAUSE_SECONDS = 2.0


def roll_back(journal: SwitchJournal, say: Callable[[str], None], bring_back: Callable[[Story], None]) -> Story | None:
    """Bring the unfinished switch of this journal to its end; return what the journal says then, None where there was none.

    `bring_back` copies to the old place what Bytes saved at the new one; it is called where Bytes may have run there,
    and raises MustStop where it cannot. The journal's lock is held.

    A switch that reads through is left alone: Bytes works at the new place. nginx is put back last, for `bring_back` may go through it.

    Raises:
        MustStop: If Bytes or nginx could not be brought back: then the journal stays open, and the next call tries again.
    """  # noqa: DOC501 made by _not_rolled_back
    story = journal.story()
    if story is None or not story.is_open or story.is_reading_through:
        return story
    parts = parts_of(story.plan.deployment, story.plan.settings, story.plan.api)
    if not story.began(SwitchStep.STOP):
        _restore_nginx(story, say)
        parts.store.tidy(story.plan.run, keep_backup=False)
        journal.end(SwitchEnd.UNTOUCHED)
        return journal.story()
    if not story.is_restored:
        try:
            _bring_bytes_back(story, parts, say)
        except (CannotStart, MustStop) as error:
            raise _not_rolled_back(story, parts, error) from error
        journal.note_restored()
    try:
        if story.began(SwitchStep.SETTINGS):
            bring_back(story)
    finally:
        _restore_nginx(story, say)
        parts.store.tidy(story.plan.run, keep_backup=True)
        journal.end(SwitchEnd.ROLLED_BACK)
    return journal.story()


def _restore_nginx(story: Story, say: Callable[[str], None]) -> None:
    """Put nginx' file back as it was. Raises MustStop."""
    if story.began(SwitchStep.READ_THROUGH):
        proxy = Proxy.of(story.plan.proxy)
        say(f"Putting {proxy.file} back as it was, and reloading nginx …")
        proxy.restore()
        proxy.tidy()


def _bring_bytes_back(story: Story, parts: Parts, say: Callable[[str], None]) -> None:
    if story.began(SwitchStep.SETTINGS):  # a reboot starts Bytes with them, and what runs is not started again
        say("Stopping Bytes, which may have the new settings …")
        parts.deployment.stop()
        parts.wait_until_stopped()
    say(f"Settings: {restore(parts.store, story.plan.run, story.plan.names, story.plan.new_digest)}.")
    say("Starting Bytes with the settings that it had …")
    _start(parts)
    parts.wait_until_healthy()
    say("Bytes runs again, with the settings that it had.")


def _start(parts: Parts) -> None:
    """Start it, again if need be; a command that fails since Bytes runs already is no failure.

    Raises:
        MustStop: If it fails at each try.
    """
    for attempt in range(ROUNDS):
        try:
            return parts.deployment.start()
        except MustStop:
            if parts.is_healthy():
                return None
            if attempt == ROUNDS - 1:
                raise
        time.sleep(_RESTART_PAUSE_SECONDS)
    return None


def _not_rolled_back(story: Story, parts: Parts, error: MigratorError) -> MustStop:
    return MustStop(
        "switch-not-rolled-back",
        f"Bytes is not back as it was: {error.what}",
        why=error.why,
        cure=f"See that {parts.store.where} has its old settings (the backup is {parts.store.backup_name(story.plan.run)}), and start"
        f" Bytes: {parts.deployment.start_command}. Then run `bytes-migrator switch` again: it ends what is "
        f"unfinished.",
    )
