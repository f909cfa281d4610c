"""Opens stores and ledger for a command."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from migrator.app.options import Options
from migrator.app.stopping import Stopping
from migrator.config.locations import DiskLocation, Location, Locations, S3Location
from migrator.core.cancellation import Flag
from migrator.core.errors import CannotStart, MustStop, SettingsError, StoreError
from migrator.core.protocols import Source, Target, UploadJournal
from migrator.ledger.directory import lock
from migrator.ledger.ledger import Ledger
from migrator.stores.disk.source import DiskSource
from migrator.stores.disk.target import DiskTarget
from migrator.stores.manifest import ManifestSource
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target
from migrator.sync.manifest_reader import Manifest
from migrator.sync.source_overview import SourceOverview, overview_of_source
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

End = Location | Manifest
"""What raw files are looked for in: a location, or a manifest that stands for what once was there."""


def patience_of(options: Options, stopping: Flag) -> RetryPolicy:
    """Return how long to try on, as the options say, until the run is asked to stop."""
    return RetryPolicy(seconds=options.patience, stopping=stopping)


def throttle_of(options: Options, stopping: Flag) -> Throttle:
    """What keeps a run within its limits; made before workers are forked, which share it."""
    return Throttle(options.limits, stopping)


@contextmanager
def as_refusal() -> Iterator[None]:
    """Turn a store's error in the block, before anything began, into one that says that nothing could start.

    Raises:
        CannotStart: If the block raises MustStop or StoreError.
    """
    try:
        yield
    except (MustStop, StoreError) as error:
        raise CannotStart(error.name, error.what, why=error.why, cure=error.cure) from error


@contextmanager
def reading_both(
    locations: Locations, options: Options, stopping: Flag
) -> Iterator[tuple[Source, Source, RetryPolicy, Throttle]]:
    """Open source and target for reading, with the policy for retries and the limits that they share. Raises SettingsError."""
    patience, throttle = patience_of(options, stopping), throttle_of(options, stopping)
    with (
        reading(locations.source, patience, throttle) as source,
        reading(locations.target, patience, throttle) as target,
    ):
        yield source, target, patience, throttle


@contextmanager
def reading(end: End, patience: RetryPolicy, throttle: Throttle | None = None) -> Iterator[Source]:
    """Open an end for reading, and close it behind the block; without `throttle`, at any rate."""
    store: DiskSource | S3Source | ManifestSource
    if isinstance(end, DiskLocation):
        store = DiskSource(end.root)
    elif isinstance(end, Manifest):
        store = ManifestSource(end)
    else:
        store = S3Source(end, patience, throttle=throttle)
    with closing(store):
        yield store


@contextmanager
def writing(
    location: Location,
    patience: RetryPolicy,
    *,
    run_id: str,
    abilities: Capabilities,
    create_buckets: bool,
    buckets_there: tuple[str, ...] = (),
    journal: UploadJournal | None = None,
    throttle: Throttle | None = None,
    source: End | None = None,
    owner: tuple[int, int] | None = None,
) -> Iterator[Target]:
    """A store that can be written, closed at the end. `source` is where content comes from: on S3, bytes are counted there.

    `owner`: user and group id of what is written to a disk, as `DiskTarget` has it.
    """
    store: DiskTarget | S3Target
    if isinstance(location, DiskLocation):
        mark = run_id.rpartition("-")[2]
        store = DiskTarget(
            location.root,
            folder_mode=location.folder_mode,
            file_mode=location.file_mode,
            run=mark,
            throttle=throttle if isinstance(source, DiskLocation) else None,
            owner=owner,
        )
    else:
        store = S3Target(
            location,
            patience,
            abilities=abilities,
            create_buckets=create_buckets,
            buckets_there=buckets_there,
            journal=journal,
            throttle=throttle,
        )
    with closing(store):
        yield store


@contextmanager
def held_ledger(locations: Locations, options: Options) -> Iterator[Ledger]:
    """Open the ledger of two locations for writing, with its lock held for the block."""
    with held_ledger_of(options, locations.source.identity, locations.target.identity) as ledger:
        yield ledger


@contextmanager
def held_ledger_of(options: Options, source: str, target: str) -> Iterator[Ledger]:
    """The ledger of these two identities, locked."""
    options.state.ensure()
    path = options.state.ledger_path(source, target)
    with lock(path), Ledger.open(path, source_identity=source, target_identity=target, now=time.time()) as ledger:
        yield ledger


@contextmanager
def s3_target(locations: Locations, stopping: Stopping) -> Iterator[S3Target]:
    """Open the target as a store on S3, which alone knows multipart uploads.

    Raises:
        SettingsError: If it is on disk.
    """
    if not isinstance(locations.target, S3Location):
        raise SettingsError(
            "uploads-only-on-s3", f"{locations.target} has no multipart uploads.", cure="Name the S3 end with --to."
        )
    patience = RetryPolicy(stopping=stopping.event)
    with (
        closing(S3Target(locations.target, patience, abilities=Capabilities(), create_buckets=False)) as store,
        as_refusal(),
    ):
        yield store


def is_there(location: Location) -> bool:
    """Return False for a data folder that does not exist; a bucket that is missing shows when it is listed."""
    return not isinstance(location, DiskLocation) or os.path.lexists(location.root)


def overview_of(location: Location, source: Source, options: Options) -> SourceOverview:
    """Find the organizations that are to be moved. Raises CannotStart where there are none."""
    return overview_of_source(
        source,
        str(location),
        options.organizations,
        allow_empty=options.allow_empty,
        is_there=is_there(location),
    )
