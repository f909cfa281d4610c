"""Answers that a proxy took from the data folder."""

from __future__ import annotations

import re
from dataclasses import replace

from migrator.core.read_through_header import FROM_DISK, HEADER
from tests.dialects.rows import ALL, Answer, Change, Request, Row, Serve, answers, turns

MET = "nginx with the lines of `runbook --read-through`"
SAYS = "A lost object is answered from the data folder, with `X-Bytes-Migrator: from-disk`."


def from_disk(request: Request, serve: Serve) -> Answer:
    """What S3 would answer if it had the object, with our header: the worst that such a proxy could do, ranges and conditions included."""
    return serve(request).with_headers({HEADER: FROM_DISK})


def of_a_raw_file(request: Request) -> bool:
    return request.key.startswith("acme/")


def emptied(answer: Answer) -> Answer:
    """The listing without its objects: they were written after it was made."""
    body = re.sub(rb"<Contents>.*</Contents>", b"", answer.body)
    body = re.sub(rb"<KeyCount>\d+<", b"<KeyCount>0<", body)
    return replace(answer, body=body).with_headers({"Content-Length": str(len(body))})


def without_etags(answer: Answer) -> Answer:
    body = re.sub(rb"<ETag>[^<]*</ETag>", b"", answer.body)
    return replace(answer, body=body).with_headers({"Content-Length": str(len(body))})


READS = (Change("GetObject HeadObject", from_disk, of_a_raw_file),)


ROWS = (
    Row(
        name="from-disk-as-source",
        met=MET,
        says=SAYS,
        does="The raw file fails as `listed-and-gone`.",
        changes=(*READS, answers("CopyObject UploadPartCopy", 501, "NotImplemented")),
        ways=("down", "across"),
        parts=True,
        outcomes={"failed": ALL},
        status=1,
        error="listed-and-gone",
    ),
    *(
        Row(
            name=f"from-disk-verify-{level}",
            met=f"{MET}, at `verify --level {level}`",
            says=SAYS,
            does="Is not proven.",
            changes=READS,
            parts=True,
            command="verify",
            options=("--level", level),
            there=(0, 1, 2, 3),
            outcomes={},
            status=1,
            untold=("Everything is proven",),
        )
        for level in ("etag", "content")
    ),
    Row(
        name="from-disk-after-412",
        met=MET,
        says="PUT is answered with 412 and the object is gone by then; HEAD and GET are answered from the data folder.",
        does="The raw file fails.",
        changes=(*READS, turns("ListObjectsV2", emptied)),
        parts=True,
        there=(0, 1, 2, 3),
        options=("--patience", "0"),
        outcomes={"failed": ALL},
        status=1,
    ),
    Row(
        name="from-disk-compared",
        met=MET,
        says=f"{SAYS} The listing has no ETag.",
        does="It does not count as present.",
        changes=(
            *READS,
            turns("ListObjectsV2", without_etags),
        ),
        there=(0, 1, 2),
        outcomes={"failed": ALL},
        status=1,
    ),
)
