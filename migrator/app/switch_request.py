"""What a switch was asked for, as plain values that the guard and the journal can hand on, and the two ends that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from migrator.config.location_resolution import resolve_locations
from migrator.config.locations import Locations, Overrides
from migrator.switch.journal import SwitchPlan
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import SettingsStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRequest:
    """The options that name both ends. `from_` None: where Bytes' settings point."""

    from_: str | None = None
    to: str | None = None
    env_files: tuple[str, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can have it; `of` is the inverse. It holds no secret: no option is one."""
        overrides = {one.name: getattr(self.overrides, one.name) for one in fields(Overrides)}
        return {"from": self.from_, "to": self.to, "env_files": list(self.env_files), "overrides": overrides}

    @staticmethod
    def of(record: Mapping[str, Any]) -> SwitchRequest:
        """Raises KeyError and TypeError for what is none."""
        return SwitchRequest(
            from_=record["from"],
            to=record["to"],
            env_files=tuple(record["env_files"]),
            overrides=Overrides(**record["overrides"]),
        )


def ends_of(request: SwitchRequest, store: SettingsStore, environ: Mapping[str, str], *, backup: str = "") -> Locations:
    """Return both ends. `backup`: a file with the settings that Bytes had, where they are not in `store` any more.

    Bytes' settings file is read beneath the env files that are given, so that the word disk means its data folder. Raises SettingsError.
    """
    path = backup or (str(store.path) if isinstance(store, SettingsFile) else "")
    from_ = request.from_ if request.from_ is not None or not path else path
    env_files = (*((path,) if path else ()), *request.env_files)
    return resolve_locations(
        from_, request.to, env_files=list(map(Path, env_files)), overrides=request.overrides, environ=environ
    )


def ends_of_plan(plan: SwitchPlan, store: SettingsStore, environ: Mapping[str, str]) -> Locations:
    """Return both ends of an earlier switch, whatever Bytes' settings say by now. Raises SettingsError.

    Its words were said while Bytes had the settings of the backup that stands beside them, so they are read with that.
    """
    backup = str(plan.words.get("backup", ""))
    is_there = isinstance(store, SettingsFile) and os.path.isfile(backup)
    found = ends_of(SwitchRequest.of(plan.words), store, environ, backup=backup if is_there else "")
    return swapped(found) if plan.is_back else found


def swapped(locations: Locations) -> Locations:
    """Return the way back between the same ends."""
    return replace(locations, source=locations.target, target=locations.source, bytes_reads=None)
