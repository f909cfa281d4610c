"""Unfinished multipart uploads: seen, and aborted."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from itertools import islice

from migrator.app.stopping import Stopping
from migrator.app.store_factory import s3_target
from migrator.config.locations import Locations
from migrator.core.entities import RawFile, UnfinishedUpload
from migrator.core.errors import StoreError
from migrator.core.protocols import Source
from migrator.ledger.directory import StateFolder, lock
from migrator.ledger.ledger import Ledger, ledger_read
from migrator.reports.text.uploads import SeenUpload, UnclaimedUpload, UnfinishedUploads
from migrator.stores.s3.target import S3Target

_MOST_UNCLAIMED = 1_000


def unfinished_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> UnfinishedUploads:
    """The multipart uploads at the target that have not become objects: this tool's own, and others under names of raw files.

    Writes nothing.
    """
    with ledger_read(state, locations.source.identity, locations.target.identity) as ledger:
        uploads = ledger.all_uploads() if ledger is not None else ()
    with s3_target(locations, stopping) as store:
        known = [each for upload in uploads for each in store.resolve_intent(upload)]
        own = tuple(_seen(store, upload) for upload in known)
        return UnfinishedUploads(own, _unclaimed(store, frozenset(upload.upload_id for upload in known)))


def give_up_leftovers(ledger: Ledger, source: Source, store: S3Target) -> None:
    """Abort and forget uploads of raw files that the source does not have any more: nobody would ever go on with them."""
    for upload in ledger.all_uploads():
        with suppress(StoreError):  # it stays in the ledger, for the next run or `uploads abort`
            if source.stat(RawFile(upload.organization, upload.raw_id)) is None:
                store.give_up(upload)
                ledger.forget_upload(upload)


def _unclaimed(store: S3Target, known: frozenset[str]) -> tuple[UnclaimedUpload, ...] | None:
    try:
        found = islice(store.unclaimed(known), _MOST_UNCLAIMED)
        return tuple(UnclaimedUpload(each.bucket, each.key, each.upload_id, each.began_at) for _, each in found)
    except StoreError:
        return None  # not every server lists uploads, and not everybody may


def abort_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> tuple[SeenUpload, ...]:
    """Abort those uploads, and forget them. Raises LedgerBusy while a run is under way."""
    source, target = locations.source.identity, locations.target.identity
    path = state.ledger_path(source, target)
    if not path.exists():
        return ()
    aborted: list[SeenUpload] = []
    with ExitStack() as stack:
        stack.enter_context(lock(path))
        ledger = stack.enter_context(Ledger.open(path, source_identity=source, target_identity=target, now=time.time()))
        store = stack.enter_context(s3_target(locations, stopping))
        for upload in ledger.all_uploads():
            aborted += [_seen(store, each) for each in store.resolve_intent(upload)]
            store.give_up(upload)
            ledger.forget_upload(upload)
    return tuple(aborted)


def _seen(store: S3Target, upload: UnfinishedUpload) -> SeenUpload:
    sent = store.sent_of(upload)
    return SeenUpload(upload, None, 0) if sent is None else SeenUpload(upload, *sent)
