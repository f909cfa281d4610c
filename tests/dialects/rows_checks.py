"""Copies by the server, verifications and deletions: what the fast lane makes of odd answers, and the careful way likewise"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tests.dialects.memory import md5, refused
from tests.dialects.rows import ALL, Answer, Change, Request, Row, Run, Serve, Way, answers, turns

_READ = ("--level", "content")
_SOURCE = "old"


def _raw(request: Request) -> bool:
    """Whether the request is for a raw file's object: those of probes and marks begin with a dot."""
    return bool(request.key) and not request.key.startswith(".")


def _edited(pattern: bytes, new: bytes) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=re.sub(pattern, new, answer.body))


def _in_200(code: str) -> Answer:
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>We encountered an internal error.</Message></Error>"
    )
    return Answer(headers={"Content-Type": "application/xml"}, body=body.encode())


def _copies_damaged(request: Request, serve: Serve) -> Answer:
    """Another content comes to be at the target, and the answer tells its ETag."""
    headers = {name: value for name, value in request.headers.items() if not name.startswith("x-amz-copy")}
    stored = serve(replace(request, operation="PutObject", headers=headers, body=b"damaged"))
    if stored.status != 200:
        return stored
    told = f"<CopyObjectResult><ETag>{stored.headers['ETag']}</ETag></CopyObjectResult>"
    return Answer(headers={"Content-Type": "application/xml"}, body=told.encode())


def _flipped(answer: Answer) -> Answer:
    if not answer.body:
        return answer
    return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:])


def _deleted_at_source(*, left: int) -> Callable[[Run], bool]:
    return lambda run: len([key for key in run.memory.buckets.get(_SOURCE, {}) if not key.startswith(".")]) == left


_COPIES = (
    Row(
        name="copy-error-in-200",
        met="AWS S3",
        says="200 to CopyObject with an error document as body, once for each raw file.",
        does="Tries again.",
        changes=(Change("CopyObject", _in_200("InternalError"), _raw, 1, each_key=True),),
        ways=("across",),
    ),
    Row(
        name="copy-etag-other",
        met="servers that encrypt, or store copies in parts",
        says="CopyObject answers an ETag that is no MD5.",
        does="Reads each copy back.",
        changes=(turns("CopyObject", _edited(rb"[0-9a-f]{32}", b"0" * 32 + b"-1"), when=_raw),),
        ways=("across",),
        requests={"GetObject": (3, 12)},
    ),
    Row(
        name="copy-without-etag",
        met="`rclone serve s3`",
        says="CopyObject answers without an ETag.",
        does="Reads each copy back.",
        changes=(turns("CopyObject", _edited(rb"<ETag>[^<]*</ETag>", b""), when=_raw),),
        ways=("across",),
        requests={"GetObject": (3, 12)},
    ),
    Row(
        name="copy-condition-ignored",
        met="Ceph's gateway, MinIO's gateway: If-None-Match works with PutObject, and not with CopyObject",
        says="CopyObject ignores If-None-Match.",
        does="Looks by HEAD whether the name is free, then copies.",
        changes=(
            Change(
                "CopyObject",
                lambda request, serve: serve(
                    replace(request, headers={k: v for k, v in request.headers.items() if k != "if-none-match"})
                ),
            ),
        ),
        ways=("across",),
        requests={"HeadObject": (3, 24)},
    ),
    Row(
        name="copy-damaged",
        met="servers whose memory or disk fails",
        says="CopyObject makes another content of each raw file, and tells its ETag.",
        does="Replaces its own copy by the content itself.",
        changes=(Change("CopyObject", _copies_damaged, _raw, 1, each_key=True),),
        ways=("across",),
    ),
    Row(
        name="copy-denied-for-some",
        met="policies",
        says="403 AccessDenied to every CopyObject, for each organization's bucket.",
        does="The bytes pass through this machine.",
        changes=(answers("CopyObject", 403, "AccessDenied", when=_raw),),
        ways=("across",),
        organizations=("acme", "bravo"),
        per_organization=True,
    ),
)


def _proves(
    name: str,
    says: str,
    does: str,
    change: Change,
    *,
    outcomes: dict[str, int] | None = None,
    status: int = 0,
    error: str = "",
) -> Row:
    return Row(
        name=f"verify-{name}",
        met="servers under load, and disks that fail",
        says=says,
        does=does,
        changes=(change,),
        ways=("up", "across"),
        there=(0, 1, 2),
        command="verify",
        options=_READ,
        outcomes=outcomes or {"proven": ALL},
        status=status,
        error=error,
    )


_VERIFICATIONS = (
    _proves(
        "as-it-is", "Nothing: all is there.", "`verify --level content` reads both ends.", Change("None", Answer())
    ),
    _proves(
        "throttled",
        "503 SlowDown to GetObject, once for each raw file.",
        "Tries again.",
        Change("GetObject", refused(503, "SlowDown"), _raw, 1, each_key=True),
    ),
    _proves(
        "damaged-once",
        "GetObject answers another content once for each raw file.",
        "Reads again.",
        turns("GetObject", _flipped, when=_raw, times=1, each_key=True),
    ),
    _proves(
        "damaged",
        "GetObject at the target answers another content each time.",
        "A conflict, for what has content.",
        turns("GetObject", _flipped, when=lambda request: _raw(request) and request.bucket == "new"),
        outcomes={"proven": 1, "conflict": 2},
        status=1,
    ),
    _proves(
        "broken-off",
        "The body of GetObject breaks off once for each raw file.",
        "Reads again.",
        turns("GetObject", lambda answer: replace(answer, cut=30), when=_raw, times=1, each_key=True),
    ),
    _proves(
        "denied",
        "403 AccessDenied to GetObject at the target.",
        "They fail, with the missing right.",
        answers("GetObject", 403, "AccessDenied", when=lambda request: _raw(request) and request.bucket == "new"),
        outcomes={"failed": ALL},
        status=1,
        error="access-denied",
    ),
)


def _prunes(
    name: str,
    says: str,
    does: str,
    change: Change,
    *,
    outcomes: dict[str, int] | None = None,
    status: int = 0,
    left: int = 0,
    told: tuple[str, ...] = (),
    ways: tuple[Way, ...] = ("up", "across"),
) -> Row:
    return Row(
        name=f"prune-{name}",
        met="servers under load, and disks that fail",
        says=says,
        does=does,
        changes=(change,),
        ways=ways,
        there=(0, 1, 2),
        command="prune",
        environment={"S3_BUCKET": "new", "BUCKET_PER_ORG": "false"},
        options=("--confirm", "3", "--max-delete", "3"),
        outcomes=outcomes or {"deletable": 3, "deleted": 3},
        status=status,
        told=told,
        check=_deleted_at_source(left=left),
    )


_DELETIONS = (
    _prunes("as-it-is", "Nothing: all is there.", "`prune` proves twice, and deletes.", Change("None", Answer())),
    _prunes(
        "throttled",
        "503 SlowDown to GetObject and HeadObject, twice for each raw file.",
        "Tries again.",
        Change("GetObject HeadObject", refused(503, "SlowDown"), _raw, 2, each_key=True),
    ),
    _prunes(
        "changed-before",
        "The last listing and HeadObject at the source answer another ETag than was read.",
        "Stops, and deletes nothing.",
        turns(
            "HeadObject ListObjectsV2",
            lambda answer: _edited(rb"[0-9a-f]{32}(?=[^<]*</ETag>)", md5(b"other").encode())(answer).with_headers(
                {"ETag": f'"{md5(b"other")}"'}
            ),
            when=lambda request: (_raw(request) or "start-after" in request.query) and request.bucket == _SOURCE,
        ),
        outcomes={"deletable": 3, "pending": 3},
        status=3,
        left=3,
        told=("Look at it",),
        ways=("across",),
    ),
)

ROWS = (*_COPIES, *_VERIFICATIONS, *_DELETIONS)
