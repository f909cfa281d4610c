"""Unfinished multipart uploads: seen, and aborted."""

from __future__ import annotations

import time
from contextlib import ExitStack

from migrator.app.opening import s3_target
from migrator.app.options import Stopping
from migrator.ledger import Ledger
from migrator.model import (
    UnfinishedUpload,
)
from migrator.reports.uploads import SeenUpload
from migrator.settings import Locations
from migrator.statefolder import StateFolder, lock
from migrator.stores.s3.store import S3Target


def unfinished_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> tuple[SeenUpload, ...]:
    """The multipart uploads that this tool began at the target and that have not become objects. Writes nothing."""
    source, target = locations.source.identity, locations.target.identity
    path = state.ledger_path(source, target)
    ledger = Ledger.open_to_read(path, source_identity=source, target_identity=target)
    if ledger is None:
        return ()
    with ledger:
        uploads = ledger.all_uploads()
    with s3_target(locations, stopping) as store:
        return tuple(_seen(store, upload) for upload in uploads)


def abort_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> tuple[SeenUpload, ...]:
    """Abort those uploads, and forget them. Raises LedgerBusy while a run is under way."""
    source, target = locations.source.identity, locations.target.identity
    path = state.ledger_path(source, target)
    if not path.exists():
        return ()
    aborted = []
    with ExitStack() as stack:
        stack.enter_context(lock(path))
        ledger = stack.enter_context(Ledger.open(path, source_identity=source, target_identity=target, now=time.time()))
        store = stack.enter_context(s3_target(locations, stopping))
        for upload in ledger.all_uploads():
            aborted.append(_seen(store, upload))
            store.give_up(upload)
            ledger.forget_upload(upload)
    return tuple(aborted)


def _seen(store: S3Target, upload: UnfinishedUpload) -> SeenUpload:
    sent = store.sent_of(upload)
    return SeenUpload(upload, None, 0) if sent is None else SeenUpload(upload, *sent)
