"""What the credentials may do, action by action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import failed, passed


class Right(NamedTuple):
    """An action of S3's policies, on what, and whether it is allowed; None: it could not be told without doing it."""

    action: str
    where: str
    allowed: bool | None


def rights_finding(name: str, rights: Sequence[Right], policy: str) -> Finding:
    """`policy` is the word of `iam-policy --for` that has all of them."""
    denied = list(dict.fromkeys((right.action, right.where) for right in rights if right.allowed is False))
    allowed = dict.fromkeys(right.action for right in rights if right.allowed)
    unknown = dict.fromkeys(right.action for right in rights if right.allowed is None)
    open_ones = f" Not known without trying: {', '.join(unknown)}." if unknown else ""
    if not denied:
        return passed(name, f"These credentials may: {', '.join(allowed) or 'nothing that was tried'}.{open_ones}")
    return failed(
        name,
        f"These credentials may not: {', '.join(f'{action} on {where}' for action, where in denied[:10])}.{open_ones}",
        "Each of these calls is needed, and the server refuses it.",
        f"Allow it; `bytes-migrator iam-policy --for {policy}` prints all that is needed.",
    )
