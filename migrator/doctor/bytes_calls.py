"""What a server answered to the calls that Bytes makes at every save and every read, and what will become of Bytes there.

Source: ``bytes/raw/file_raw_repository.py`` of Bytes 1.18 to 1.20: create the bucket without a location, wait until it exists, then put or
get. Any error of any of them is HTTP 500.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import NamedTuple

from migrator.core.findings import Finding, FindingStatus
from migrator.doctor.finding_names import BYTES_ANSWERS, BYTES_CALLS
from migrator.doctor.finding_shorthands import failed, passed, warned

CREATE, WAIT, PUT, GET, CREATE_AGAIN = "create", "wait", "put", "get", "create again"
UNREADABLE_ANSWER = "answer-unreadable"
"""The code of a call that the server carried out, and whose answer boto3 cannot read."""
ALREADY_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists", "409")
ADDRESSING_CODES = frozenset(
    {
        "SecondLevelDomainForbidden",
        "VirtualHostDomainRequired",
        "InvalidPathAccess",
        "PathStyleDomainForbidden",
        "PathStyleForbidden",
    }
)
"""How servers refuse requests that have the bucket in the path (Alibaba OSS, Tencent COS, Volcengine TOS)."""
REGION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "301", "307", "wrong-region"}
)
_BUCKETS_SHOWN = 10


class BytesCall(NamedTuple):
    """One of Bytes' calls and its answer: HTTP status (0: none came), the error's code and its words, both "" for a success."""

    name: str
    status: int
    code: str = ""
    words: str = ""

    @property
    def is_fine(self) -> bool:
        """Return True if the server answered this call without an error code."""
        return not self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Bytes' calls on one bucket, as far as one that failed left the next one a meaning.

    `made`: there was no such bucket before. `removed`: it is gone again. `left`: what could not be removed, as an ``s3://`` URL.
    `is_denied`: the server says that the bucket exists, and answers 403 to HEAD on it.
    """

    bucket: str
    calls: tuple[BytesCall, ...]
    made: bool = False
    removed: bool = False
    left: tuple[str, ...] = ()
    is_denied: bool = False

    @property
    def failed(self) -> BytesCall | None:
        """Return the first call at which Bytes would fail, None if all succeeded."""
        return next((call for call in self.calls if not call.is_fine), None)

    @property
    def failures(self) -> tuple[BytesCall, ...]:
        """Every call that Bytes would fail on."""
        return tuple(call for call in self.calls if not call.is_fine)

    @property
    def is_for_rights(self) -> bool:
        """Whether nothing but these credentials' rights on this bucket is in the way."""
        return bool(self.failures) and all(call.status in (401, 403) for call in self.failures)

    @property
    def is_already_there(self) -> bool:
        """Whether it is the known one: the server refuses to make a bucket that is there and ours."""
        return not self.is_denied and any(_is_already_there(call) for call in self.failures)


def _is_already_there(call: BytesCall) -> bool:
    return call.status == 409 and call.code in ALREADY_THERE


def calls_finding(replays: Sequence[Replay], *, endpoint: str | None) -> Finding:
    """Whether Bytes will work with these buckets; by the gravest answer. `endpoint` None is AWS."""
    broken = [replay for replay in replays if replay.failed is not None]
    beside = _what_is_left(replays)
    if not broken:
        return passed(BYTES_CALLS, f"Bytes' own calls work on {_buckets(replays)}.{beside}")
    failures = "; ".join(
        f"to {calls} of {_buckets(some)} the server answers {answer}" for calls, answer, some in _failures(broken)
    )
    if all(call.code == UNREADABLE_ANSWER for replay in broken for call in replay.failures):
        return _unreadable(broken, failures + "." + beside)
    cures = list(dict.fromkeys(_why_and_cure(one, call, endpoint) for one in broken for call in one.failures))
    return failed(
        BYTES_CALLS,
        f"Bytes would answer HTTP 500 to {_what_fails(broken)}: {failures}.{beside}",
        _one_after_the_other([why for why, _ in cures]),
        f"{_one_after_the_other([cure for _, cure in cures])} To continue anyway: --force {BYTES_CALLS}.",
    )


def _unreadable(broken: Sequence[Replay], failures: str) -> Finding:
    """A warning, for the server did what it was asked: another boto3 than this program's may read the answer."""
    words = next(call.words for replay in broken for call in replay.failures)
    return warned(
        BYTES_ANSWERS,
        f"Bytes would answer HTTP 500 to {_what_fails(broken)}: {failures}",
        f"The server does what is asked, but boto3 cannot read its answers: {words}",
        "Have the server or its proxy send headers as S3 does, Last-Modified above all, or choose another server.",
    )


def kept_finding(found: Finding, at: float) -> Finding:
    """The same finding, as one of an earlier look at `at` (seconds since the epoch)."""
    when = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    again = " A new look: bytes-migrator doctor --probe." if found.status is FindingStatus.ERROR else ""
    return replace(found, seen=f"{found.seen} Found out on {when}.{again}")


def left_out_finding() -> Finding:
    """Nothing is known of Bytes' calls, and ``--force`` leaves out trying them."""
    return Finding(
        name=BYTES_CALLS,
        status=FindingStatus.WARNING,
        seen=f"Bytes' own calls were not tried on these buckets, as --force {BYTES_CALLS} asks.",
        why="SeaweedFS, MinIO, rclone and AWS outside us-east-1 refuse one of them, and Bytes then answers HTTP 500 to everything.",
        cure="Find out before the switch: bytes-migrator doctor --probe",
        forced=True,
    )


def _failures(broken: Sequence[Replay]) -> Iterator[tuple[str, str, list[Replay]]]:
    """Each answer that Bytes fails on, once: to which calls, and on which buckets."""
    buckets: dict[str, dict[str, Replay]] = {}
    calls: dict[str, dict[str, None]] = {}
    for replay in broken:
        for call in replay.failures:
            buckets.setdefault(_answer(call), {})[replay.bucket] = replay
            calls.setdefault(_answer(call), {})[f"'{call.name}'"] = None
    for answer, found in buckets.items():
        yield " and ".join(calls[answer]), answer, list(found.values())


def _what_fails(broken: Sequence[Replay]) -> str:
    """Saving is create, wait and put; reading is create, wait and get."""
    failing = {call.name for replay in broken for call in replay.failures}
    if failing == {PUT}:
        return "every save"
    return "every read" if failing == {GET} else "every save and every read"


def _one_after_the_other(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return " ".join(f"({number}) {text}" for number, text in enumerate(dict.fromkeys(texts), 1))


def untried_finding() -> Finding:
    """Nothing is known of Bytes' calls: trying them writes, which nobody asked for."""
    return warned(
        BYTES_CALLS,
        "Bytes' own calls were not tried on these buckets.",
        "SeaweedFS, MinIO, rclone and AWS outside us-east-1 refuse one of them, and Bytes then answers HTTP 500 to everything."
        " Trying them writes a small object and makes buckets that are missing.",
        "bytes-migrator doctor --probe tries them, and migrate does before it begins.",
    )


def _answer(call: BytesCall) -> str:
    if not call.status:
        return f"nothing of use: {call.words}"
    return f"{call.status} {call.code}" if call.code != str(call.status) else str(call.status)


def _buckets(replays: Sequence[Replay]) -> str:
    names = [replay.bucket for replay in replays]
    if len(names) == 1:
        return f"the bucket {names[0]}"
    more = f" and {len(names) - _BUCKETS_SHOWN} more" if len(names) > _BUCKETS_SHOWN else ""
    return f"{len(names)} buckets: {', '.join(names[:_BUCKETS_SHOWN])}{more}"


def _what_is_left(replays: Sequence[Replay]) -> str:
    kept = [replay.bucket for replay in replays if replay.made and not replay.removed]
    left = [where for replay in replays for where in replay.left]
    text = f" Made for this, and left there, empty, as Bytes would make it too: {', '.join(kept)}." if kept else ""
    return text + (f" Could not be removed again: {', '.join(left)}." if left else "")


def _why_and_cure(replay: Replay, failed: BytesCall, endpoint: str | None) -> tuple[str, str]:
    if replay.is_denied:
        return _of_somebody_else()
    if _is_already_there(failed):
        return _already_there(endpoint)
    if failed.code in ADDRESSING_CODES:
        return (
            "Bytes' boto3 puts the bucket into the path of an endpoint that is set, and this server takes it in the host name only.",
            "Give Bytes an AWS configuration file (AWS_CONFIG_FILE) with addressing_style = virtual in the section s3 of its profile.",
        )
    if failed.code in REGION_CODES:
        return (
            "The server wants requests signed for another region than the one that is set.",
            "Set AWS_DEFAULT_REGION to the server's region, for Bytes too.",
        )
    if failed.name in (CREATE, CREATE_AGAIN):
        return _not_made(failed)
    if failed.status == 411 or failed.code == "MissingContentLength":
        return (
            "boto3 1.36 and later sends checksums in a form that this server does not take over HTTPS, and Bytes lets it.",
            "Set AWS_REQUEST_CHECKSUM_CALCULATION=when_required in Bytes' environment.",
        )
    if failed.status in (401, 403):
        return (
            f"Bytes' credentials may not '{failed.name}'.",
            "Give them the rights that `bytes-migrator iam-policy --for bytes` prints.",
        )
    return "Bytes makes these calls every time, and any error of any of them is HTTP 500.", (
        "Cure what the server says, or choose another server, or stay on disk."
    )


def _of_somebody_else() -> tuple[str, str]:
    return (
        "The bucket exists, and the server answers 403 to HEAD: it belongs to somebody else, since all users of a server share its bucket"
        " names; or this key has no right on it. A proxy that answers 200 does not change that.",
        "Choose another S3_BUCKET or S3_BUCKET_PREFIX; if the bucket is yours, give this key the rights that"
        " `bytes-migrator iam-policy --for bytes` prints.",
    )


def _already_there(endpoint: str | None) -> tuple[str, str]:
    why = (
        "Bytes creates the bucket anew each time, without a location, and this server refuses that for a bucket that is there already. "
        "Raw files that are all in place are unreadable then; one bucket or many makes no difference."
    )
    if endpoint is None:
        return why, (
            "AWS answers 200 in us-east-1 only: use buckets there, with AWS_DEFAULT_REGION=us-east-1; or stay on disk, until Bytes no"
            " longer creates its buckets each time. A proxy with a host name of its own does not help: AWS takes it for a bucket's name."
        )
    return why, (
        "No setting of SeaweedFS, MinIO or rclone changes that. Put nginx before the server, with the lines that bytes-migrator doctor"
        " and runbook print, and give Bytes its address as AWS_ENDPOINT_URL; or use a server that answers 200"
        " (Ceph RGW, AWS in us-east-1); or stay on disk, until Bytes no longer creates its buckets each time."
    )


def _not_made(failed: BytesCall) -> tuple[str, str]:
    if failed.status in (401, 403):
        return (
            "Bytes creates the bucket at every save and every read, also one that is there, and these credentials may not.",
            "Give them s3:CreateBucket, as in `bytes-migrator iam-policy --for bytes`. Where each bucket would need its own permission,"
            " one bucket instead of many needs it once: S3_BUCKET=<name> and BUCKET_PER_ORG=false.",
        )
    if failed.code == "InvalidBucketName":
        return (
            "The server does not take this bucket name, and Bytes knows no other.",
            "Use one bucket for all: S3_BUCKET=<name> and BUCKET_PER_ORG=false. Another S3_BUCKET_PREFIX helps only where it is the prefix"
            " that the server does not take.",
        )
    if failed.code in ("IllegalLocationConstraintException", "InvalidLocationConstraint"):
        return (
            "Bytes creates buckets without a location, which this server takes in one region only.",
            "Set AWS_DEFAULT_REGION=us-east-1, for buckets there.",
        )
    return (
        "Bytes creates the bucket at every save and every read, also one that is there.",
        "Cure what the server says, or choose another server, or stay on disk.",
    )
