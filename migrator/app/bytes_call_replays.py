"""Bytes' own calls on the target's buckets: trying them, and remembering in the ledger what came of it.

A look is kept with its time under the endpoint, bucket, region and access key that it was made with. One that failed is kept too:
`audit`, `doctor`, `plan` and `verify` report it, and a run under ``--force bytes-calls`` says at its end what Bytes cannot read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from migrator.app.first_check_result import Prepared
from migrator.app.options import Options
from migrator.app.store_factory import as_refusal, held_ledger, patience_of
from migrator.config.locations import Location, Locations, S3Location, endpoint_identity, is_aws
from migrator.core.cancellation import Flag
from migrator.core.errors import LedgerBusy
from migrator.core.findings import Finding
from migrator.core.notices import Denial
from migrator.core.parallel_calls import AT_ONCE, run_concurrently
from migrator.doctor import finding_names
from migrator.doctor.bytes_calls import (
    ALREADY_THERE,
    CREATE,
    BytesCall,
    Replay,
    calls_finding,
    kept_finding,
    left_out_finding,
)
from migrator.doctor.denied_buckets import denials_by, denied_findings, refusal_of
from migrator.ledger.directory import StateFolder
from migrator.ledger.ledger import Ledger, ledger_read, ledgers_read
from migrator.stores.s3.boto3_clients import signer_of
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.probes.bytes_calls import replay
from migrator.stores.s3.probes.client import ProbeClient

DAY = 86_400.0
"""Seconds for which a look that went well is not made again."""


@dataclass(frozen=True, slots=True)
class KeptReplay:
    """What came of Bytes' calls on one bucket, and when that was found out (seconds since the epoch)."""

    replay: Replay
    at: float

    @property
    def is_fresh(self) -> bool:
        """Whether it was made within the last day: what worked then still counts."""
        return 0 <= time.time() - self.at <= DAY


def calls_key(location: S3Location, bucket: str) -> str:
    """The name of a look in the ledger: another region or another access key may get another answer."""
    region, key_id = signer_of(location.access)
    signer = hashlib.sha256(key_id.encode()).hexdigest()[:8]
    return f"{endpoint_identity(location.access.endpoint_url)} {bucket} Bytes' calls in {region or '-'} by {signer}"


def try_bytes_calls(
    prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Flag
) -> tuple[tuple[Finding, ...], dict[str, Denial]]:
    """Whether Bytes will work with the target's buckets, by trying: the last look before a run, for it writes.

    Returns findings, and the organizations whose bucket alone refuses these credentials. What worked is not tried again for a day. Where a
    server refuses a bucket for another reason, or all of them, no further ones are tried. Under ``--force bytes-calls`` nothing is tried,
    and the finding says what an earlier look found out, or that nothing is known.
    """
    location = prepared.locations.target
    if not isinstance(location, S3Location):
        return (), {}
    buckets = (
        *prepared.buckets_there,
        *prepared.buckets_to_create,
    )  # those that are there can be tried without making anything
    known = replays_in(ledger, location, buckets)
    if finding_names.BYTES_CALLS in options.forced:
        return forced_findings(known, location, buckets), {}
    untried = [bucket for bucket in buckets if not _works(known.get(bucket))]
    replays = _replays(location, options, untried, frozenset(prepared.buckets_there), run_id, stopping)
    keep_replays(ledger, location, replays)
    refused = {one.bucket: refusal_of(one) for one in replays if one.is_for_rights}
    are_all_refused = len(refused) == len(replays) and len(untried) == len(buckets)
    if not refused or not prepared.parted or are_all_refused:
        return ((finding_of(replays, location),) if replays else ()), {}
    others = [one for one in replays if not one.is_for_rights]
    found = (finding_of(others, location),) if others else ()
    pairs = [(one, location.naming.bucket_of(one)) for one in prepared.overview.organizations]
    return (*denied_findings(refused), *found), denials_by(refused, pairs)


def _replays(
    location: S3Location,
    options: Options,
    buckets: Sequence[str],
    there: frozenset[str],
    run_id: str,
    stopping: Flag,
) -> list[Replay]:
    retry = patience_of(options, stopping).run
    replays: list[Replay] = []
    with as_refusal(), ExitStack() as stack:
        asker = stack.enter_context(closing(ProbeClient(location.access, like_bytes=True, retry=retry)))

        def ours() -> ProbeClient:
            return stack.enter_context(closing(ProbeClient(location.access, retry=retry)))

        for some in _first_one_then_more(buckets):
            replays += run_concurrently(
                [partial(replay, asker, bucket, run_id, exists=bucket in there, ours=ours) for bucket in some]
            )
            failed = [one for one in replays if one.failed is not None]
            is_for_all = len(failed) == len(replays) and len(replays) > 1
            if is_for_all or not all(one.is_for_rights for one in failed):
                break
    return replays


def finding_of(replays: Sequence[Replay], location: S3Location) -> Finding:
    """Whether Bytes will work with these buckets."""
    endpoint = location.access.endpoint_url
    return calls_finding(replays, endpoint=None if is_aws(endpoint) else endpoint)


def forced_findings(
    known: Mapping[str, KeptReplay], location: S3Location, buckets: Sequence[str]
) -> tuple[Finding, ...]:
    """What is known of Bytes' calls where they are not to be tried; nothing where there is no bucket at all."""
    if not buckets:
        return ()
    return (known_finding(known, location) or works_finding(known, buckets) or left_out_finding(),)


def known_finding(known: Mapping[str, KeptReplay], location: S3Location) -> Finding | None:
    """The error that earlier looks found out; None where none of them failed."""
    failed = [kept for kept in known.values() if kept.replay.failed is not None]
    if not failed:
        return None
    found = finding_of([kept.replay for kept in failed], location)
    return kept_finding(found, min(kept.at for kept in failed))


def works_finding(known: Mapping[str, KeptReplay], buckets: Sequence[str]) -> Finding | None:
    """That Bytes' calls worked on all of these buckets within the last day, and since when; None where that is not known."""
    if not buckets or not all(_works(known.get(bucket)) for bucket in buckets):
        return None
    found = calls_finding([Replay(bucket=one, calls=()) for one in buckets], endpoint=None)
    return kept_finding(found, min(known[bucket].at for bucket in buckets))


def refusals_known(
    location: Location, buckets: Sequence[str], locations: Locations, options: Options
) -> tuple[Finding, ...]:
    """What the ledger of these locations has of calls of Bytes that failed within the last day. Writes nothing."""
    if not isinstance(location, S3Location):
        return ()
    with ledger_read(options.state, locations.source.identity, locations.target.identity) as ledger:
        known = replays_in(ledger, location, buckets, max_age=DAY) if ledger is not None else {}
    found = known_finding(known, location)
    return (found,) if found is not None else ()


def replays_in(
    ledger: Ledger, location: S3Location, buckets: Sequence[str], max_age: float = float("inf")
) -> dict[str, KeptReplay]:
    """What this ledger has of looks at these buckets that are no older than `max_age` seconds."""
    found = {}
    now = time.time()
    for bucket in buckets:
        row = ledger.observation(calls_key(location, bucket))
        kept = _kept_replay(bucket, *row) if row is not None and 0 <= now - row[0] <= max_age else None
        if kept is not None:
            found[bucket] = kept
    return found


def newest_replays(state: StateFolder, location: S3Location, buckets: Sequence[str]) -> dict[str, KeptReplay]:
    """The newest look at each of these buckets in any ledger of the state folder. Writes nothing."""
    newest: dict[str, KeptReplay] = {}
    for ledger in ledgers_read(state.ledgers()):
        for bucket, kept in replays_in(ledger, location, buckets).items():
            if bucket not in newest or newest[bucket].at < kept.at:
                newest[bucket] = kept
    return newest


def names_taken(known: Mapping[str, KeptReplay]) -> frozenset[str]:
    """Buckets that the server made, or has, by what earlier looks saw."""
    return frozenset(bucket for bucket, kept in known.items() if is_name_taken(kept.replay))


def is_name_taken(replay: Replay) -> bool:
    """Whether the server takes the bucket's name: it made the bucket, or said that it is there."""
    failed = replay.failed
    return failed is None or failed.name != CREATE or failed.code in ALREADY_THERE


def keep_replays(ledger: Ledger, location: S3Location, replays: Sequence[Replay]) -> None:
    """Write down what came of Bytes' calls just now."""
    now = time.time()
    for one in replays:
        ledger.save_abilities(calls_key(location, one.bucket), _body_of(one), now)


def keep_for_a_run(
    locations: Locations,
    options: Options,
    location: S3Location,
    replays: Sequence[Replay],
    abilities: Capabilities | None,
) -> None:
    """Keep what was seen for the run that follows; a run that is under way keeps its own."""
    try:
        with held_ledger(locations, options) as ledger:
            keep_replays(ledger, location, replays)
            if abilities is not None and replays:
                place = f"{endpoint_identity(location.access.endpoint_url)} {replays[0].bucket}"
                ledger.save_abilities(place, abilities.as_dict(), time.time())
    except LedgerBusy:
        return


def _works(kept: KeptReplay | None) -> bool:
    return kept is not None and kept.replay.failed is None and kept.is_fresh


def _body_of(replay: Replay) -> dict[str, object]:
    if not replay.failures:
        return {"works": True}
    calls = [[call.name, call.status, call.code, call.words[:500]] for call in replay.failures]
    return {"works": False, "calls": calls, "denied": replay.is_denied}


def _kept_replay(bucket: str, at: float, body: Mapping[str, object]) -> KeptReplay | None:
    """The inverse of `_body_of`; None for what another version kept."""
    match body:
        case {"works": True}:
            return KeptReplay(Replay(bucket=bucket, calls=()), at)
        case {"works": False, "calls": [*kept]}:
            calls = tuple(
                BytesCall(*one)
                for one in kept
                if isinstance(one, list) and [type(part) for part in one] == [str, int, str, str] and one[2]
            )
            return (
                KeptReplay(Replay(bucket=bucket, calls=calls, is_denied=body.get("denied") is True), at)
                if calls
                else None
            )
    return None


def _first_one_then_more(buckets: Sequence[str]) -> Iterator[Sequence[str]]:
    """A server that refuses one bucket refuses all: not more than one is made in vain."""
    yield buckets[:1]
    for start in range(1, len(buckets), AT_ONCE):
        yield buckets[start : start + AT_ONCE]
