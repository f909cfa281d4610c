"""Holds the Bytes that is switched: the journal's lock is not seen by a switch with another state folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from migrator.config.locations import disk_identity
from migrator.core.errors import LedgerBusy
from migrator.stores.disk.lock import Hold, folders_held
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import SettingsStore


@contextmanager
def settings_held(store: SettingsStore, ends: Collection[str]) -> Iterator[None]:
    """Lock the folder of Bytes' settings file for the block; the lock dies with the process.

    Where that folder is a data folder, which copying locks, it is not locked; `ends` are the identities of both locations. A Secret or
    ConfigMap has no lock: its resourceVersion refuses the second change.

    Raises:
        LedgerBusy: If another switch holds it.
    """
    if not isinstance(store, SettingsFile) or disk_identity(store.folder) in ends:
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(folders_held([Hold(root=store.folder, alone=True)]))
        except LedgerBusy as error:
            raise LedgerBusy(
                "switch-busy",
                f"Another switch of the Bytes with {store.where} is under way, or is being rolled back.",
                why=f"{store.folder} is locked by it. It has another state folder.",
                cure="Wait until it has ended; `bytes-migrator status` shows its steps to whoever started it.",
            ) from error
        yield
