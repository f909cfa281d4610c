"""What a command was asked to do, besides the locations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from migrator.config.rate_limits import Limits
from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.errors import SettingsError
from migrator.doctor.bytes_user import BytesUser
from migrator.engines.worker_admission import is_loopback
from migrator.ledger.directory import StateFolder
from migrator.sync.coordinator import Observer
from migrator.sync.source_counter import SourceCounter

MOST_JOBS = 512
"""Requests in flight if nobody says otherwise: an upper bound, below which the lanes find their own number."""


class EngineName(str, Enum):
    """What spreads a run: this process alone, processes of this machine, or a Dask cluster."""

    LOCAL = "local"
    PROCESSES = "processes"
    DASK = "dask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command was asked to do, besides the locations. Times in seconds; `jobs` 0 lets the lanes find their own number.

    `full`: list all of the target. `reread`: rely on nothing that earlier runs finished. `lists_extra`: tell each raw file that is only
    at the target by name, for a list of files. `remembers`: the ledger learns what a pass finds or copies.
    `checks_access`: look whether Bytes' user can use what lies at a target on disk.
    `owner` is whom Bytes runs as at a target on disk, None where nobody said so.
    `engine` None is the command's own; `scheduler` is a Dask scheduler's address, without which Dask runs on this machine.
    """

    organizations: tuple[str, ...] = ()
    jobs: int = 0
    create_buckets: bool = True
    allow_empty: bool = False
    compare_by_size: bool = False
    forced: frozenset[str] = frozenset()
    settle: float = 30.0
    patience: float = 120.0
    ages: Ages = ANY_AGE
    full: bool = False
    reread: bool = False
    remembers: bool = True
    checks_access: bool = True
    limits: Limits = field(default_factory=Limits)
    lists_extra: bool = False
    engine: EngineName | None = None
    scheduler: str = ""
    owner: BytesUser | None = None
    state: StateFolder = field(default_factory=StateFolder.default)


def engine_and_scheduler(engine: str | None, scheduler: str | None) -> tuple[EngineName | None, str]:
    """Return the engine that was asked for, None for the default, and the scheduler's address or "".

    Raises:
        SettingsError: If both do not fit together, or if the address would go over a network without TLS.
    """
    named = EngineName(engine) if engine else None
    if not scheduler:
        return named, ""
    if named not in (None, EngineName.DASK):
        raise SettingsError(
            "scheduler-without-dask",
            f"--scheduler belongs to --engine dask, not to --engine {named.value}.",
            cure="Leave one of them out.",
        )
    try:
        parts = urlsplit(scheduler)
        is_address = parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port)
        is_address = is_address and "@" not in parts.netloc and not (parts.path or parts.query or parts.fragment)
    except ValueError:
        is_address = False
    if not is_address:
        shown = "" if "@" in scheduler else f" {scheduler!r}"  # a login is a secret
        raise SettingsError(
            "scheduler-not-an-address",
            f"--scheduler{shown} is no address of a Dask scheduler.",
            cure="Write it like tls://scheduler.example.org:8786, or tcp://127.0.0.1:8786 on this machine.",
        )
    if parts.scheme == "tcp" and not is_loopback(parts.hostname or ""):
        raise SettingsError(
            "scheduler-not-encrypted",
            f"--scheduler {scheduler} would be reached over a network without TLS.",
            why="Others could read along, and have the workers do anything.",
            cure="Use tls:// and certificates; tcp:// is for 127.0.0.1 alone.",
        )
    return EngineName.DASK, scheduler


Watch = Callable[[SourceCounter | None], Sequence[Observer]]
"""Makes the observers of a run, given who counts ahead (nobody in a dry run)."""
