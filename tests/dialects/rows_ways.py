"""Calls that a server does not know or does not allow, and late answers."""

from __future__ import annotations

from tests.dialects.rows import ALL, Row, answers

ROWS = (
    Row(
        name="s3",
        met="AWS S3, and servers that answer as it does",
        says="Nothing: every documented call works.",
        does="Sends one request for each small file, and one for each part.",
        ways=("up", "down", "across"),
        parts=True,
        bytes_calls=True,
    ),
    Row(
        name="s3-each",
        met="AWS S3, with a bucket for each organization",
        says="Nothing: every documented call works.",
        does="The same, in the bucket of each organization.",
        ways=("up", "down", "across"),
        organizations=("acme", "b1"),
        per_organization=True,
    ),
    Row(
        name="put-refused",
        met="a policy without s3:PutObject on raw files",
        says="`PutObject` answers 403 AccessDenied for every raw file.",
        does="Each of the files fails by that name.",
        changes=(
            answers(
                "PutObject",
                403,
                "AccessDenied",
                when=lambda request: "/" in request.key and ".bytes" not in request.key,
            ),
        ),
        outcomes={"failed": ALL},
        status=1,
        error="access-denied",
        told=("AccessDenied",),
    ),
)
