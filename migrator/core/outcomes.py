"""What is done with a raw file, and how it ends. Pure values."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from migrator.core.entities import Digests, Entry


class Verdict(Enum):
    """How a pair compares, in rclone's signs."""

    __hash__ = object.__hash__  # as in `Outcome`

    SAME_SIZE = "="
    DIFFERS = "*"
    SOURCE_ONLY = "+"
    TARGET_ONLY = "-"


class Action(Enum):
    """What is to be done with a raw file of the source. To vouch is to call it proven, to miss it to call it missing, by listings alone."""

    __hash__ = object.__hash__  # as in `Outcome`

    COPY = "copy"
    COMPARE = "compare"
    ACCEPT = "accept"
    VOUCH = "vouch"
    MISS = "miss"
    DIFFER = "differ"
    REFUSE = "refuse"


class Step(NamedTuple):
    """One raw file of the source and what is to be done with it.

    `own_version` is the `Entry.version` of a copy of ours at the target. While it has that version it may be replaced, if it is a
    beginning of the raw file as it is now: that was still being written when it was copied.
    """

    action: Action
    source: Entry
    target: Entry | None
    own_version: str | None = None

    @property
    def may_replace(self) -> bool:
        """What is at the target is a copy of ours, and still as we left it."""
        return self.own_version is not None and self.target is not None and self.target.version == self.own_version


class Outcome(Enum):
    """How a raw file of the source ended: exactly one of these.

    `MISSING` stands in for `COPIED` in a dry run; `verify` has proven, unproven, conflict, missing and failed.
    """

    __hash__ = object.__hash__  # members are single; Enum's own hash is a Python function, called for each raw file

    COPIED = "copied"
    PRESENT = "present"
    CONFLICT = "conflict"
    FAILED = "failed"
    REFUSED = "refused"
    VANISHED = "vanished"
    PENDING = "pending"
    MISSING = "missing"
    PROVEN = "proven"
    UNPROVEN = "unproven"


class Result(NamedTuple):
    """A raw file's outcome.

    `entry` is the source's, as it was when it was read. `reason` says why for everything but copied, present, proven and what a dry run
    would copy. `version` is the copy's `Entry.version` at the target; `evidence` says what a proof rests on, `digests` what it found.
    `code` is the `name` of the error behind the reason, `request_id` what the server's own log knows that request by; both may be empty.
    """

    entry: Entry
    outcome: Outcome
    reason: str = ""
    version: str = ""
    digests: Digests | None = None
    code: str = ""
    request_id: str = ""
    evidence: str = ""
