"""Listings that contradict themselves, and answers that lack something"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tests.dialects.rows import ALL, Answer, Change, Request, Row, Run, answers, turns

_BROKEN = "listing-broken"
_ASK = "Asks once more, then ends with listing-broken, which says what contradicts what."
_SMALL = 3


def _is_flat(request: Request) -> bool:
    return "delimiter" not in request.query


def _is_of_acme(request: Request) -> bool:
    return _is_flat(request) and request.query.get("prefix", "") == "acme/"


def _is_by_folders(request: Request) -> bool:
    return request.query.get("delimiter") == "/" and not request.query.get("prefix")


def _edits(pattern: str, new: str) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=re.sub(pattern.encode(), new.encode(), answer.body, flags=re.DOTALL))


def _paged(turn: Callable[[Answer], Answer] = lambda answer: answer, *, size: int = 1) -> Change:
    """Listings in pages of so many names."""

    def serve_few(request: Request, serve: Callable[[Request], Answer]) -> Answer:
        return turn(serve(replace(request, query={**request.query, "max-keys": str(size)})))

    return Change("ListObjectsV2", serve_few)


def _drop_one(answer: Answer) -> Answer:
    return replace(answer, body=re.sub(rb"<Contents>.*?</Contents>", b"", answer.body, count=1, flags=re.DOTALL))


_NOTHING = _edits(r"<KeyCount>\d+</KeyCount>(.*)", "<KeyCount>0</KeyCount></ListBucketResult>")


def _first_prefix_again(request: Request, serve: Callable[[Request], Answer]) -> Answer:
    """One common prefix on two pages."""
    answer = serve(
        replace(request, query={name: one for name, one in request.query.items() if name != "continuation-token"})
    )
    if request.query.get("continuation-token"):
        return answer
    following = "<IsTruncated>true</IsTruncated><NextContinuationToken>a b+c</NextContinuationToken>"
    return _edits("<IsTruncated>false</IsTruncated>", following)(answer)


def _with_key(key: str) -> Callable[[Answer], Answer]:
    block = f"<Contents><Key>{key}</Key><Size>3</Size><ETag>x</ETag><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>"

    def turn(answer: Answer) -> Answer:
        body = answer.body.replace(b"</ListBucketResult>", f"{block}</ListBucketResult>".encode())
        return replace(answer, body=body)

    return turn


def _etags(turn: Callable[[str], str]) -> Callable[[Answer], Answer]:
    """ETags in another form, in headers and bodies."""

    def edit(answer: Answer) -> Answer:
        headers = {name: turn(one) if name.lower() == "etag" else one for name, one in answer.headers.items()}

        def one(found: re.Match[bytes]) -> bytes:
            plain = found.group(1).decode().replace("&quot;", '"')
            return b"<ETag>" + turn(plain).replace('"', "&quot;").encode() + b"</ETag>"

        return replace(
            answer,
            headers=headers,
            body=re.sub(rb"<ETag>([^<]*)</ETag>", one, answer.body) if answer.body[:1] == b"<" else answer.body,
        )

    return edit


def _modified(header: str, xml: str) -> tuple[Change, ...]:
    edit = _edits("<LastModified>[^<]*<", f"<LastModified>{xml}<")
    return (
        turns("ListObjectsV2 ListObjects", edit),
        turns("HeadObject GetObject", lambda one: one.with_headers({"Last-Modified": header})),
    )


def _status(status: int, calls: str) -> Change:
    return turns(calls, lambda answer: replace(answer, status=status) if answer.status == 200 else answer)


def _looked_at_once(run: Run) -> bool:
    return run.memory.count("HeadObject") >= _SMALL


_LISTINGS = (
    Row(
        name="keycount-larger",
        met="a listing that lost a key on the way",
        says="`KeyCount` is larger than the number of keys on the page.",
        does=_ASK,
        changes=(turns("ListObjectsV2", _drop_one, when=_is_flat),),
        ways=("down", "across"),
        status=3,
        error=_BROKEN,
        told=("KeyCount says", "asked for twice"),
        outcomes={},
    ),
    Row(
        name="keycount-larger-once",
        met="a server that miscounts for a moment",
        says="The first listing has a larger `KeyCount` than keys.",
        does="Asks once more and goes on.",
        changes=(turns("ListObjectsV2", _drop_one, when=lambda one: _is_flat(one) and one.by_libcurl),),
        ways=("down",),
    ),
    *(
        Row(
            name=f"keycount-larger-{command}",
            met="the same",
            says=f"The same, to `{command}`.",
            does=_ASK,
            changes=(turns("ListObjectsV2", _drop_one, when=_is_flat),),
            ways=("down",),
            command=command,
            status=status,
            error=_BROKEN,
            outcomes={},
        )
        for command, status in (("plan", 3), ("verify", 3))
    ),
    Row(
        name="token-beside-the-end",
        met="servers and proxies that lose `IsTruncated`",
        says="`IsTruncated` is false on each page, beside a continuation token.",
        does="Follows the token.",
        changes=(_paged(_edits("<IsTruncated>true<", "<IsTruncated>false<")),),
        ways=("down", "across"),
        organizations=("acme", "b1"),
    ),
    Row(
        name="token-always",
        met="servers that give a token on the last page too",
        says="Each page has a token; the last one's leads to the same page.",
        does="Follows it once.",
        changes=(
            turns(
                "ListObjectsV2",
                _edits("</ListBucketResult>", "<NextContinuationToken></NextContinuationToken></ListBucketResult>"),
            ),
        ),
        ways=("down",),
    ),
    Row(
        name="token-refused-at-the-end",
        met="servers that give a token on the last page and do not take it back",
        says="The last page has a token, and the server answers it with 400.",
        does="Asks by the last key.",
        changes=(
            answers("ListObjectsV2", 400, "InvalidArgument", when=lambda one: "continuation-token" in one.query),
            turns(
                "ListObjectsV2",
                _edits("</ListBucketResult>", "<NextContinuationToken>00</NextContinuationToken></ListBucketResult>"),
            ),
        ),
        ways=("down",),
    ),
    Row(
        name="folder-named-and-empty",
        met="an index that lost an organization's keys",
        says="The listing by folders names an organization, whose own listing is empty.",
        does=_ASK,
        changes=(turns("ListObjectsV2", _NOTHING, when=lambda one: one.query.get("prefix", "").startswith("b1")),),
        ways=("down", "across"),
        organizations=("acme", "b1"),
        status=3,
        error=_BROKEN,
        told=("the listing by folders names", "b1/"),
        outcomes={},
    ),
    Row(
        name="folder-named-and-empty-verify",
        met="the same",
        says="The same, to `verify`.",
        does=_ASK,
        changes=(turns("ListObjectsV2", _NOTHING, when=lambda one: one.query.get("prefix", "").startswith("b1")),),
        ways=("down",),
        organizations=("acme", "b1"),
        command="verify",
        status=3,
        error=_BROKEN,
        outcomes={},
    ),
    Row(
        name="key-of-another-prefix",
        met="servers that ignore the prefix",
        says="A page has a key that does not begin with the prefix.",
        does=_ASK,
        changes=(turns("ListObjectsV2", _with_key("zz/1"), when=_is_flat),),
        ways=("down", "across"),
        status=3,
        error=_BROKEN,
        told=("does not begin with it",),
        outcomes={},
    ),
    Row(
        name="prefix-on-two-pages",
        met="servers that page by keys and group afterwards",
        says="One common prefix stands on two pages.",
        does="Counts the organization once.",
        changes=(Change("ListObjectsV2", _first_prefix_again, _is_by_folders),),
        ways=("down", "across"),
        organizations=("acme", "b1"),
    ),
    Row(
        name="no-delimiter",
        met="servers that do not know the delimiter",
        says="The listing by folders has all keys and no common prefix.",
        does="Takes organizations from the keys.",
        changes=(
            Change(
                "ListObjectsV2",
                lambda request, serve: serve(replace(request, query={**request.query, "delimiter": ""})),
                _is_by_folders,
            ),
        ),
        ways=("down",),
        organizations=("acme", "b1"),
    ),
    Row(
        name="page-again",
        met="servers that lose the token",
        says="Each page is the first one again, and says that there is more.",
        does=_ASK,
        changes=(_paged(_edits("<NextContinuationToken>[^<]*<", "<NextContinuationToken>2f<")),),
        ways=("down",),
        status=3,
        error=_BROKEN,
        outcomes={},
    ),
    Row(
        name="key-twice",
        met="SeaweedFS, at the border of two pages",
        says="A page repeats the last key of the one before.",
        does="Counts it once.",
        changes=(
            Change(
                "ListObjectsV2",
                lambda request, serve: _edits("(<Contents>.*?</Contents>)", r"\1\1")(serve(request)),
                _is_flat,
            ),
        ),
        ways=("down",),
    ),
    *(
        Row(
            name=f"v1-{code}",
            met="servers and policies that know only ListObjects",
            says=f"`ListObjectsV2` answers {status} {code}.",
            does="Lists by ListObjects, and says so once.",
            changes=(answers("ListObjectsV2", status, code),),
            ways=ways,
            error="lists-by-v1",
            organizations=("acme", "b1"),
        )
        for status, code, ways in (
            (501, "NotImplemented", ("up", "down", "across")),
            (405, "MethodNotAllowed", ("down",)),
            (400, "InvalidArgument", ("down",)),
        )
    ),
    Row(
        name="v1-verify",
        met="the same",
        says="`ListObjectsV2` answers 501, to `verify`.",
        does="Lists by ListObjects.",
        changes=(answers("ListObjectsV2", 501, "NotImplemented"),),
        ways=("across",),
        there=(0, 1, 2),
        command="verify",
        error="lists-by-v1",
        outcomes={},
    ),
    Row(
        name="v1-plan",
        met="the same",
        says="`ListObjectsV2` answers 501, to `plan`.",
        does="Lists by ListObjects.",
        changes=(answers("ListObjectsV2", 501, "NotImplemented"),),
        ways=("down",),
        command="plan",
        error="lists-by-v1",
        outcomes={},
    ),
    Row(
        name="v1-whatever-is-asked",
        met="servers that ignore `list-type`",
        says="`ListObjectsV2` is answered as ListObjects, in pages without a token.",
        does="Goes on by markers.",
        changes=(
            Change(
                "ListObjectsV2",
                lambda request, serve: serve(
                    replace(request, operation="ListObjects", query={**request.query, "max-keys": "1"})
                ),
            ),
        ),
        ways=("down",),
    ),
)

_GHOSTS = (
    Row(
        name="listed-and-gone",
        met="an index that kept the key of a lost object",
        says="A key is listed, and GET and HEAD answer 404.",
        does="Counts it as failed, not as vanished.",
        changes=(
            answers(
                "GetObject HeadObject", 404, "NoSuchKey", when=lambda one: "/" in one.key and ".bytes" not in one.key
            ),
        ),
        ways=("down",),
        outcomes={"failed": ALL},
        status=1,
        error="listed-and-gone",
        told=("is listed, but not found",),
        untold=("vanished while",),
    ),
    Row(
        name="listed-and-gone-at-target",
        met="the same, at the target",
        says="The target lists a key with the right size and ETag, and GET and HEAD answer 404.",
        does="`verify` asks HEAD for a sample and counts it as failed.",
        changes=(answers("GetObject HeadObject", 404, "NoSuchKey", when=lambda one: one.bucket == "new"),),
        ways=("up", "across"),
        there=(0, 1, 2),
        command="verify",
        status=1,
        error="listed-and-gone",
        outcomes={},
    ),
    Row(
        name="verify-asks-for-a-sample",
        met="AWS S3, and servers that answer as it does",
        says="Nothing: all is there.",
        does="`verify` asks HEAD for up to 100 raw files of each organization.",
        ways=("up", "across"),
        there=(0, 1, 2),
        command="verify",
        told=("are known from its listing only",),
        check=_looked_at_once,
        outcomes={},
    ),
)

_FORMS = (
    Row(
        name="etag-upper-case",
        met="Alibaba OSS",
        says="ETags are MD5s in upper case.",
        does="Compares them without regard to case, and sends them back as they came.",
        changes=(turns("*", _etags(str.upper)),),
        ways=("up",),
        requests={"PutObject": (8, 8), "GetObject": (0, 0)},
    ),
    *(
        Row(
            name=f"etag-{name}",
            met=met,
            says=says,
            does="Takes the ETag as it is meant.",
            changes=(turns("*", _etags(form)),),
            ways=("up", "down"),
        )
        for name, met, says, form in (
            ("weak", "nginx with gzip", 'ETags are weak: `W/"…"`.', lambda etag: f"W/{etag}"),
            ("quoted-twice", "proxies that add quotes", "ETags are quoted twice.", lambda etag: f'"{etag}"'),
            ("unquoted", "rclone", "ETags have no quotes.", lambda etag: etag.strip('"')),
            (
                "compressed",
                "Apache with mod_deflate",
                "ETags end in `-gzip`.",
                lambda etag: f'"{etag.strip(chr(34))}-gzip"',
            ),
        )
    ),
    Row(
        name="head-without-length",
        met="proxies that drop Content-Length",
        says="HEAD has no Content-Length.",
        does="Asks the listing for it.",
        changes=(turns("HeadObject", lambda answer: replace(answer.without("Content-Length"), chunked=True)),),
        ways=("up",),
        parts=True,
    ),
    Row(
        name="head-without-etag",
        met="proxies that drop ETags",
        says="HEAD has no ETag.",
        does="Asks the listing for it.",
        changes=(turns("HeadObject", lambda answer: answer.without("ETag")),),
        ways=("up",),
        parts=True,
    ),
    Row(
        name="listing-without-etag",
        met="JuiceFS' gateway",
        says="The listing has no ETags.",
        does="Proves contents by other means.",
        changes=(turns("ListObjectsV2", _edits("<ETag>[^<]*</ETag>", "")),),
        ways=("down", "across"),
    ),
    Row(
        name="listing-without-dates",
        met="small gateways",
        says="The listing has no `LastModified`.",
        does="Does without.",
        changes=(turns("ListObjectsV2", _edits("<LastModified>[^<]*</LastModified>", "")),),
        ways=("down",),
    ),
    *(
        Row(
            name=f"listing-without-dates-{age[2:]}",
            met=f"small gateways, with `{age}`",
            says="The listing has no `LastModified`.",
            does="Includes them, and counts them; `prune` keeps them.",
            changes=(turns("ListObjectsV2", _edits("<LastModified>[^<]*</LastModified>", "")),),
            ways=("down",),
            lanes=("boto3",),
            options=(age, "2026-01-01"),
            error="age-unknown",
            told=("lists no date for 3 raw files",),
        )
        for age in ("--newer-than", "--older-than")
    ),
    *(
        Row(
            name=f"modified-{name}",
            met="gateways before other stores",
            says=f"`Last-Modified` is {name.replace('-', ' ')}.",
            does="Reads it, or does without.",
            changes=_modified(header, xml),
            ways=("up", "down"),
        )
        for name, header, xml in (
            ("a-number", "1766839200", "1766839200"),
            ("empty", "", ""),
            ("of-year-1", "Mon, 01 Jan 0001 00:00:00 GMT", "0001-01-01T00:00:00Z"),
            ("an-rfc-date", "Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:00 GMT"),
            ("no-date", "yesterday", "yesterday"),
        )
    ),
    Row(
        name="modified-empty-for-bytes",
        met="gateways before other stores",
        says="`Last-Modified` is empty: boto3, as Bytes uses it, does not read such an answer.",
        does="Copies, and says that Bytes would answer HTTP 500 (`bytes-answers`).",
        changes=_modified("", ""),
        error="bytes-answers",
        told=("Last-Modified above all",),
        lanes=("bulk",),
        bytes_calls=True,
    ),
    *(
        Row(
            name=f"put-{status}",
            met="Caringo Swarm, and other HTTP stores",
            says=f"`PutObject` and `UploadPart` answer {status}.",
            does="Takes it for a success; one write for each file.",
            changes=(_status(status, "PutObject UploadPart"),),
            parts=True,
            check=lambda run: run.memory.count("UploadPart") == 3,
        )
        for status in (201, 202, 204)
    ),
    Row(
        name="get-203",
        met="proxies that change headers",
        says="`GetObject` answers 203.",
        does="Takes it for a success, proven by the digest.",
        changes=(_status(203, "GetObject"),),
        ways=("down",),
    ),
    Row(
        name="unpacked-with-a-length",
        met="Google Cloud Storage, for objects stored as gzip",
        says="GET unpacks the object: another length under the same ETag.",
        does="The raw file fails.",
        changes=(
            turns(
                "GetObject",
                lambda answer: replace(
                    answer.without("Content-Range", "Content-Length"), status=200, body=answer.body + b"unpacked"
                ),
            ),
        ),
        ways=("down",),
        outcomes={"failed": ALL},
        status=1,
        error="unpacked-on-the-way",
        told=("with another length",),
        untold=("another object than was listed",),
    ),
    *(
        Row(
            name=f"key-{name}",
            met="other programs that write to the bucket",
            says=f"The listing has a key {words}.",
            does="Lists it as a stray; the raw files are copied.",
            changes=(turns("ListObjectsV2", _with_key(key), when=_is_of_acme),),
            ways=("down",),
            outcomes={"copied": ALL, "stray": 1},
            lanes=("bulk",) if name in ("with-raw-control-characters", "with-references") else ("bulk", "boto3"),
        )
        for name, words, key in (
            ("with-control-characters", "with control characters", "acme/a%01b"),
            ("with-raw-control-characters", "with control characters that are not encoded", "acme/a\x01b"),
            ("with-references", "with references to control characters", "acme/a&#1;b"),
            (
                "that-ends-in-a-newline",
                "that is a raw id and a newline",
                "acme/01234567-89ab-cdef-0123-456789abcdef%0A",
            ),
            ("of-1025-bytes", "of 1,025 bytes", "acme/" + "k" * 1020),
        )
    ),
)

ROWS = (*_LISTINGS, *_GHOSTS, *_FORMS)
