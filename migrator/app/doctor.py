"""Looks at both ends as the doctor does; `plan` and `migrate` look first too."""

from __future__ import annotations

import time
from contextlib import closing

from migrator.app.opening import as_refusal, patience_of
from migrator.app.options import Options, Prepared
from migrator.doctor.calls import Replay, calls_finding
from migrator.doctor.names import BYTES_CALLS
from migrator.ledger import Ledger
from migrator.model import Finding
from migrator.settings import S3Location, endpoint_identity
from migrator.stopping import Flag
from migrator.stores.s3.asking import Asker
from migrator.stores.s3.replay import replay

_WORKS = {"works": True}


def try_bytes_calls(
    prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Flag
) -> tuple[Finding, ...]:
    """Whether Bytes will work with the target's buckets, by trying: the last look before a run, for it writes.

    What worked is kept for a day. The first bucket in which it does not is enough to know, and the last one that is tried.
    """
    location = prepared.locations.target
    if not isinstance(location, S3Location) or BYTES_CALLS in options.forced:
        return ()
    place = endpoint_identity(location.access.endpoint_url)
    replays: list[Replay] = []
    with as_refusal():
        asker = Asker(location.access, like_bytes=True, retry=patience_of(options, stopping).run)
        with closing(asker):
            for bucket in _buckets(prepared):
                key = f"{place} {bucket} Bytes' calls"
                if ledger.abilities(key, time.time()) == _WORKS:
                    continue
                exists = bucket not in prepared.buckets_to_create
                replays.append(replay(asker, bucket, run_id, exists=exists))
                if replays[-1].failed is not None:
                    break
                ledger.save_abilities(key, dict(_WORKS), time.time())
    if not replays:
        return ()
    access = location.access
    return (calls_finding(replays, endpoint=access.endpoint_url, region=access.region),)


def _buckets(prepared: Prepared) -> list[str]:
    """The target's buckets, those that are there first: they can be tried without making anything."""
    location = prepared.locations.target
    assert isinstance(location, S3Location)  # noqa: S101 - the caller looked
    movable = [name for name in prepared.look.organizations if name not in prepared.refused]
    buckets = dict.fromkeys(map(location.naming.bucket_of, movable))
    return sorted(buckets, key=lambda bucket: bucket in prepared.buckets_to_create)
