"""What audits found, kept beside the ledgers so that `report` shows it later. An audit has no ledger, for it has no pair of locations.

In: the state folder, and what an audit showed. Out: a file of JSON for each, readable for its owner alone; the last hundred are kept.
What comes back is checked: a file in another form is as if it were not there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.ledger.directory import StateFolder

KEPT = 100
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("target", "database", "answer", "document"), str),
    **dict.fromkeys(("started", "seconds"), (int, float)),
    "exit_status": int,
}
"""What is kept of an audit besides its run and its lines."""
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAudit:
    """One audit. `started` in seconds since the epoch; `document` is JSON.

    `lines` are what it showed, each with whether it is never wrapped.
    """

    run: str
    started: float
    seconds: float
    target: str
    database: str
    exit_status: int
    answer: str
    lines: tuple[tuple[str, bool], ...]
    document: str


def keep_audit(state: StateFolder, audit: KeptAudit, *, most: int = KEPT) -> None:
    """Write it down, whole or not at all, and forget the oldest where there are more than `most`. Raises CannotStart and OSError."""
    state.ensure()
    folder = _folder(state)
    folder.mkdir(mode=0o700, exist_ok=True)
    partial = folder / f".{audit.run}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump({name: getattr(audit, name) for name in audit.__slots__}, file)
    partial.replace(folder / f"{audit.run}.json")
    for name in sorted(_names(state))[:-most]:
        (folder / name).unlink()


def kept_audits(state: StateFolder, limit: int) -> Iterator[KeptAudit]:
    """Yield the last ones, newest first."""
    for name in sorted(_names(state), reverse=True)[:limit]:
        audit = kept_audit(state, name.removesuffix(".json"))
        if audit is not None:
            yield audit


def kept_audit(state: StateFolder, run: str) -> KeptAudit | None:
    """Return one by its run, None where there is none or it cannot be read."""
    if not _NAME.fullmatch(f"{run}.json"):
        return None
    with suppress(OSError, ValueError, TypeError, LookupError):
        kept = json.loads((_folder(state) / f"{run}.json").read_text(encoding="ascii"))
        lines = tuple((str(text), whole is True) for text, whole in kept["lines"])
        if all(isinstance(kept.get(name), kinds) for name, kinds in _KINDS.items()):
            return KeptAudit(**{name: kept[name] for name in _KINDS}, run=run, lines=lines)
    return None


def _names(state: StateFolder) -> list[str]:
    with suppress(OSError):
        return [name for name in os.listdir(_folder(state)) if _NAME.fullmatch(name)]
    return []


def _folder(state: StateFolder) -> Path:
    return state.path / "audits"
