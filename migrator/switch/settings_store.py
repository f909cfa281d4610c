"""Where Bytes has its settings from: what a switch needs of it, whichever kind it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from migrator.config.env_file import Setting
from migrator.core.errors import MustStop
from migrator.switch.settings_edit import Wanted, values_of


class SettingsStore(Protocol):
    """An env file, or a Secret or ConfigMap of Kubernetes.

    `content` is the whole of it as bytes, secrets included: it is never shown, and goes into no journal.
    """

    @property
    def where(self) -> str:
        """What people call it: its path or its name."""
        ...

    def spec(self) -> Mapping[str, str]:
        """What the journal keeps of it; `parts.parts_of` is the inverse."""
        ...

    def read(self) -> bytes:
        """Return its content now. Raises CannotStart."""
        ...

    def settings(self, content: bytes) -> list[Setting]:
        """Return the settings in this content. Raises SettingsError for a line that cannot be understood."""
        ...

    def edited(self, content: bytes, wanted: Wanted) -> bytes:
        """Return this content with other settings, everything else as it was. Raises SettingsError."""
        ...

    def refuse_unwritable(self) -> None:
        """Raise CannotStart where it cannot be replaced; `stage` looks too. Writes nothing."""
        ...

    def stage(self, old: bytes, new: bytes, run: str) -> None:
        """Keep a durable backup of the old content, and prove that the new one can be written. Raises CannotStart; Bytes still runs."""
        ...

    def backup(self, run: str) -> bytes | None:
        """Return what `stage` kept; None where there is none. Raises MustStop where it cannot be read."""
        ...

    def backup_name(self, run: str) -> str:
        """Return where the backup is, for people."""
        ...

    def replace(self, old: bytes, new: bytes, run: str) -> None:
        """Put the new content in place of the old one, whole and durable. Raises MustStop where it is not the old one any more."""
        ...

    def tidy(self, run: str, *, keep_backup: bool) -> None:
        """Remove what `stage` left. Never raises."""
        ...


def digest(content: bytes) -> str:
    """Return the SHA-256 by which the journal knows a content."""
    return hashlib.sha256(content).hexdigest()


def restore(store: SettingsStore, run: str, names: tuple[str, ...], new_digest: str) -> str:
    """Give Bytes its old settings again, if they are not there; return what was done, in words. Can be called again and again.

    Settings that somebody edited meanwhile keep the edit: only what the switch changed goes back. Raises MustStop.
    """
    backup = store.backup(run)
    now = store.read()
    if backup is None:
        return "the settings were never changed"
    if now == backup:
        return "the settings are the old ones"
    if digest(now) == new_digest:
        store.replace(now, backup, run)
        return f"{store.where} is as it was before"
    changed = store.edited(now, values_of(store.settings(backup), names))
    if changed == now:
        return f"{store.where} was edited meanwhile, and has the old place"
    store.replace(now, changed, run)
    return f"{store.where} was edited meanwhile: that is kept, and the lines that this program changed are the old ones"


def backup_at(path: Path) -> bytes | None:
    """Return the content of a backup; None where there is none.

    Raises:
        MustStop: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MustStop(
            "switch-settings-failed",
            f"The backup {path} cannot be read: {error.strerror}.",
            cure="Make it readable, then rerun.",
        ) from error


def edited_meanwhile(where: str) -> MustStop:
    """Return the error for settings that are not those of the plan any more."""
    return MustStop(
        "switch-settings-edited",
        f"{where} was edited after the plan was shown.",
        why="The plan no longer fits it. It was not touched.",
        cure="Look at the change, then rerun: it plans anew.",
    )
