"""What a row of the table is: a dialect, and what the program has to make of it.

A row says which requests it changes and how; everything else is answered as S3 does. It runs on both lanes: up (disk to S3), down, and
across (bucket to bucket on one server), as it says. To add a dialect, add a row to one of the ``rows_*.py`` files, then run
``python scripts/dialects.py > docs/dialects.md``. A run costs 0.2 s of CPU, 0.4 s with `parts`: name one lane where both do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.dialects.memory import Memory, refused
from tests.dialects.s3 import Serve
from tests.dialects.wire import Answer, Request

__all__ = ["ALL", "Answer", "Change", "Request", "Row", "Run", "Serve", "answers", "refused", "turns"]

Way = Literal["up", "down", "across"]
Lane = Literal["bulk", "boto3"]
ALL = -1
"""As a number of files: all that there are."""


class Change(NamedTuple):
    """Requests that are answered otherwise.

    `calls`: the names of S3's operations, parted by spaces, or ``*`` for all. `when`: which of these. `times`: only the first so many of
    them (0: all), counted for each key if `each_key`. `answer` is sent in place of the server's; a function is given the request and a way
    to have it carried out (`serve`), and answers what is sent; None leaves the request to the changes after this one.
    """

    calls: str
    answer: Answer | Callable[[Request, Serve], Answer | None]
    when: Callable[[Request], bool] = lambda request: True
    times: int = 0
    each_key: bool = False


class Run(NamedTuple):
    """What a row's own check is given: what the server has and was asked, and all that the program said."""

    memory: Memory
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One dialect.

    For the document: `met` (servers, proxies or policies that were seen to do so), `says` (what they do), `does` (what the program does).
    For the test: `changes`; `ways`, `lanes`; `command`; `parts` adds a file of 17 MiB, which goes in parts, to the three small ones of each
    of the `organizations`; `per_organization`: a bucket for each, ``old-…`` and ``new-…``, else one bucket, ``old`` and ``new``.
    `environment` and `options` are added to the command's; in values, ``{url}`` is the server's. `bucket_exists` False: the target's bucket
    has to be made. `there`: which of the files, by number, the target on S3 has before. `bytes_calls`: Bytes' own calls are tried too.
    Expected: `outcomes` (number of files by outcome, `ALL` for all of them; {} where the command tells none), `status`, `error` (the name
    of an error, a finding or a problem), `told` (words that stand somewhere in what is said, the cure above all), `untold` (words that must
    not). `requests`: how many requests of an operation came, at least and at most; ``*`` for all. `check`: what else has to be true.
    """

    name: str
    met: str
    says: str
    does: str
    changes: tuple[Change, ...] = ()
    ways: tuple[Way, ...] = ("up",)
    lanes: tuple[Lane, ...] = ("bulk", "boto3")
    parts: bool = False
    organizations: tuple[str, ...] = ("acme",)
    per_organization: bool = False
    command: str = "migrate"
    outcomes: Mapping[str, int] = field(default_factory=lambda: {"copied": ALL})
    status: int = 0
    error: str = ""
    told: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    requests: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    check: Callable[[Run], bool] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    bucket_exists: bool = True
    there: tuple[int, ...] = ()
    bytes_calls: bool = False
    slow: bool = False


def answers(
    calls: str,
    status: int,
    code: str,
    message: str = "The server says no.",
    *,
    more: str = "",
    when: Callable[[Request], bool] = lambda request: True,
    times: int = 0,
    each_key: bool = False,
) -> Change:
    """These calls are refused with this status and error code."""
    return Change(calls, refused(status, code, message, more), when, times, each_key)


def turns(
    calls: str,
    turn: Callable[[Answer], Answer],
    *,
    when: Callable[[Request], bool] = lambda request: True,
    times: int = 0,
    each_key: bool = False,
) -> Change:
    """These calls are carried out, and answered otherwise: `turn` is given the honest answer."""
    return Change(calls, lambda request, serve: turn(serve(request)), when, times, each_key)
