"""Buckets that refuse while others do not: their organizations are left out by name, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from migrator.core.errors import AccessDenied, StoreError
from migrator.core.findings import Finding
from migrator.core.notices import Denial
from migrator.doctor.bytes_calls import Replay
from migrator.doctor.finding_shorthands import warned
from migrator.doctor.rights import Right

_BUCKETS_SHOWN = 10


def denials_by(refusing: Mapping[str, StoreError], names: Sequence[tuple[str, str]]) -> dict[str, Denial]:
    """What keeps each organization out; `refusing` by bucket, `names` are (organization, bucket)."""
    return {
        organization: Denial(refusing[bucket].name, str(refusing[bucket]))
        for organization, bucket in names
        if bucket in refusing
    }


def refusals_in(rights: Mapping[str, Sequence[Right]]) -> dict[str, StoreError]:
    """The buckets on which a right to write is missing, and which; `rights` by bucket."""
    refusing: dict[str, StoreError] = {}
    for bucket, found in rights.items():
        missing = [right.action for right in found if right.allowed is False]
        if "s3:PutObject" in missing:
            refusing[bucket] = AccessDenied(
                "access-denied",
                f"These credentials may not {', '.join(missing)} on s3://{bucket}.",
                cure="Allow it; `bytes-migrator iam-policy --for migrate` prints all rights.",
            )
    return refusing


def refusal_of(replay: Replay) -> StoreError:
    """Why Bytes cannot work in this bucket with these credentials."""
    failed = replay.failed
    answer = f" ({failed.status} {failed.code} to '{failed.name}')" if failed is not None else ""
    return AccessDenied(
        "access-denied",
        f"Bytes' own calls are refused in s3://{replay.bucket}{answer}.",
        cure="Give the rights that `bytes-migrator iam-policy --for bytes` prints.",
    )


def denied_findings(refusing: Mapping[str, StoreError]) -> Iterator[Finding]:
    """That some buckets of the target refuse; none where all of them are open."""
    if not refusing:
        return
    shown = "; ".join(f"{bucket}: {error.what}" for bucket, error in list(refusing.items())[:_BUCKETS_SHOWN])
    more = f"; and {len(refusing) - _BUCKETS_SHOWN} more" if len(refusing) > _BUCKETS_SHOWN else ""
    yield warned(
        "bucket-denied",
        f"{len(refusing)} of the target's buckets refuse these credentials: {shown}{more}.".replace("..", "."),
        "Their organizations' raw files count as failed; the others are copied.",
        "Give the right on these buckets (bytes-migrator iam-policy prints it), then rerun.",
    )
