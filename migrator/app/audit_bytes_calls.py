"""What an audit knows of Bytes' own calls: by trying them, or by the newest look that a ledger has."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress

from migrator.app.bytes_call_replays import KeptReplay, keep_for_a_run, known_finding, newest_replays
from migrator.app.options import Options
from migrator.app.store_factory import as_refusal
from migrator.checks.audit.settings import AuditSettings
from migrator.checks.audit.tally import Audited
from migrator.config.locations import Locations, S3Location
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.doctor.bytes_calls import untried_finding
from migrator.reports.text.audit import BytesCalls
from migrator.stores.s3.probes.bytes_calls import replay
from migrator.stores.s3.probes.client import ProbeClient


def what_bytes_can_do(
    settings: AuditSettings, audited: Audited, options: Options, *, probe: bool
) -> tuple[BytesCalls | None, tuple[Finding, ...]]:
    """Whether Bytes' calls work on the buckets in which its raw files are; None on disk, and where there are none.

    `probe`: try them now, which writes a small object to each bucket and removes it again. Raises CannotStart.
    """
    target = settings.target
    if not isinstance(target, S3Location):
        return None, ()
    files: dict[str, int] = {}
    for name, tally in audited.organizations.items():
        if tally.readable.files:
            bucket = target.naming.bucket_of(name)
            files[bucket] = files.get(bucket, 0) + tally.readable.files
    if not files:
        return None, ()
    buckets = tuple(files)
    known = _tried(settings, target, buckets, options) if probe else newest_replays(options.state, target, buckets)
    known = {bucket: kept for bucket, kept in known.items() if kept.replay.failed is not None or kept.is_fresh}
    works = [bucket for bucket, kept in known.items() if kept.replay.failed is None]
    fails = [bucket for bucket in known if bucket not in works]
    calls = BytesCalls(
        buckets=len(buckets),
        works=len(works),
        fails=len(fails),
        files_failing=sum(files[bucket] for bucket in fails),
        found_out=min((kept.at for kept in known.values()), default=None),
        by_probe=probe,
    )
    found = known_finding(known, target)
    if found is not None:
        return calls, (found,)
    return calls, () if calls.state == "works" else (untried_finding(),)


def _tried(
    settings: AuditSettings, target: S3Location, buckets: Sequence[str], options: Options
) -> dict[str, KeptReplay]:
    """Try Bytes' calls now, and keep what came of it where a migration between these locations would look for it."""
    name = uuid.uuid4().hex[:12]
    with as_refusal(), ExitStack() as stack:
        asker = stack.enter_context(closing(ProbeClient(target.access, like_bytes=True)))

        def ours() -> ProbeClient:
            return stack.enter_context(closing(ProbeClient(target.access)))

        replays = [replay(asker, bucket, name, exists=True, ours=ours) for bucket in buckets]
    if settings.source is not None:
        ends = Locations(source=settings.source, target=target, settings=(), findings=())
        with suppress(MigratorError):  # the audit's answer does not depend on it
            keep_for_a_run(ends, options, target, replays, None)
    now = time.time()
    return {one.bucket: KeptReplay(one, now) for one in replays}
