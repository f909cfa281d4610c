"""Reads raw files as Bytes does: by name, as Bytes' own user, and on S3 with Bytes' create-bucket call before each read.

Nothing here imports the program under test. `oracle` says what lies somewhere; this module says what Bytes can read of it.
On disk a child process gives up root's rights before it opens anything. Without root's rights it reads as whoever runs the tests.

::

    expected = oracle.disk_state(source)
    as_bytes.assert_reads(as_bytes.OnDisk(target), expected)
    as_bytes.assert_reads(as_bytes.OnS3(server.client(), oracle.Single("raw")), expected)
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests import oracle
from tests.oracle import RawFileName

UID = 1000
"""Bytes' user in containers; Debian's user `kat` has another number and no other rights."""

_READER = """
import hashlib, json, os, sys
order = json.load(sys.stdin)
os.chdir(order["seen_from"])
if os.geteuid() == 0:
    os.setgroups(order["groups"])
    os.setgid(order["group"])
    os.setuid(order["user"])
answers = []
for path in order["paths"]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        answers.append([None, os.strerror(error.errno), type(error).__name__])
        continue
    answers.append([len(data), hashlib.sha256(data).hexdigest(), data.hex() if order["contents"] else ""])
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class User:
    """Whom Bytes runs as: numbers of the user, its group and its further groups."""

    user: int = UID
    group: int = UID
    groups: tuple[int, ...] = ()


BYTES = User()


@dataclass(frozen=True)
class OnDisk:
    """A data folder as Bytes sees it.

    By default the folder is mounted into a container, so the folders above it play no part. With `seen_from`, one of the folders above
    it, Bytes' user has to pass every folder below that one too.
    """

    root: oracle.Path
    seen_from: oracle.Path | None = None
    user: User = BYTES


@dataclass(frozen=True)
class OnS3:
    """Buckets as Bytes sees them through a boto3 client.

    `behind_cure`: a proxy before the server answers 200 where the server says 409 to creating a bucket that exists, as the nginx lines
    that `doctor` prints do.
    """

    client: Any
    naming: oracle.Naming
    behind_cure: bool = False


Place = OnDisk | OnS3


class Refused(NamedTuple):
    """Why Bytes cannot give a raw file: an error's name (`FileNotFoundError`, or S3's code) and its words."""

    name: str
    words: str


class Reading(NamedTuple):
    """What Bytes can read, as (size, SHA-256), and what it cannot."""

    readable: dict[RawFileName, tuple[int, str]]
    refused: dict[RawFileName, Refused]


def read(place: Place, names: Iterable[RawFileName]) -> Reading:
    """Read these raw files as Bytes would when somebody asks for them."""
    readable: dict[RawFileName, tuple[int, str]] = {}
    refused: dict[RawFileName, Refused] = {}
    for name, answer in _answers(place, sorted(names)).items():
        if isinstance(answer, Refused):
            refused[name] = answer
        else:
            readable[name] = (len(answer), hashlib.sha256(answer).hexdigest()) if isinstance(answer, bytes) else answer
    return Reading(readable, refused)


def content(place: Place, name: RawFileName) -> bytes | Refused:
    """The content of one raw file, or why Bytes would answer HTTP 404 or 500."""
    if isinstance(place, OnS3):
        return _from_s3(place, name)
    size, words, data = _read_on_disk(place, [name], contents=True)[0]
    return Refused(data, words) if size is None else bytes.fromhex(data)


def assert_reads(place: Place, expected: oracle.State) -> None:
    """Bytes reads every raw file of `expected` (a state of `oracle`), with the content that is expected."""
    found = read(place, expected)
    reasons: dict[Refused, int] = {}
    for why in found.refused.values():
        reasons[why] = reasons.get(why, 0) + 1
    assert not found.refused, f"Bytes can read {len(found.readable)} of {len(expected)} raw files: {reasons}"
    oracle.assert_same_contents(expected, found.readable)


def _answers(place: Place, names: Sequence[RawFileName]) -> Mapping[RawFileName, bytes | tuple[int, str] | Refused]:
    if isinstance(place, OnS3):
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(names, pool.map(partial(_from_s3, place), names), strict=True))
    found = _read_on_disk(place, names, contents=False)
    return {
        name: Refused(kind, words) if size is None else (size, words)
        for name, (size, words, kind) in zip(names, found, strict=True)
    }


def _read_on_disk(place: OnDisk, names: Sequence[RawFileName], *, contents: bool) -> list[tuple[int | None, str, str]]:
    """In one child process: size, digest and content in hex of each; None, words and name of the error where there is none."""
    root = Path(place.root).absolute()
    seen_from = Path(place.seen_from).absolute() if place.seen_from is not None else root
    order = {
        "seen_from": os.fspath(seen_from),
        "user": place.user.user,
        "group": place.user.group,
        "groups": place.user.groups,
        "contents": contents,
        "paths": [
            os.fspath((root / organization / raw_id[:3] / raw_id).relative_to(seen_from))
            for organization, raw_id in names
        ],
    }
    # the child itself drops root's rights, once Python is loaded: another user may not be let into the folder of Python
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _READER],
        input=json.dumps(order).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [(size, words, last) for size, words, last in json.loads(done.stdout)]


def _from_s3(place: OnS3, name: RawFileName) -> bytes | Refused:
    """Bytes' calls: create the bucket, wait until it is there, get the object (``bytes/raw/file_raw_repository.py``)."""
    from botocore.exceptions import BotoCoreError, ClientError

    organization, raw_id = name
    one = isinstance(place.naming, oracle.Single)
    bucket = place.naming.bucket if isinstance(place.naming, oracle.Single) else place.naming.prefix + organization
    try:
        try:
            place.client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if not (place.behind_cure and error.response["ResponseMetadata"]["HTTPStatusCode"] == 409):
                raise
        place.client.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig={"Delay": 1, "MaxAttempts": 3})
        answer = place.client.get_object(Bucket=bucket, Key=f"{organization}/{raw_id}" if one else raw_id)
        data: bytes = answer["Body"].read()
    except ClientError as error:
        return Refused(str(error.response.get("Error", {}).get("Code", "")), str(error))
    except BotoCoreError as error:
        return Refused(type(error).__name__, str(error))
    return data
