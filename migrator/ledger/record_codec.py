"""The forms of what the ledger keeps: each kind of fact as a pair of inverse functions, and the seal over it. Pure.

`…_body` makes the JSON value that is kept; `read_…` makes the value again, or None of anything that `…_body` could not have made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import TypeGuard

from migrator.core.entities import (
    HEX_DIGITS,
    INDEX_LENGTH,
    FinishedFolder,
    ProvenShard,
    Provisional,
    RawId,
    UnfinishedUpload,
    is_raw_id,
)
from migrator.core.notices import NoticeKind, Problem
from migrator.core.outcomes import Outcome

MARK_MAX_LENGTH = 256
END_OF_TIME = 253402300800.0  # the year 10000, which no calendar of Python can show
PROBLEM_KINDS = frozenset(kind.value for kind in (*Outcome, *NoticeKind))

_NUMBER = "(0|[1-9a-f][0-9a-f]*)"
_DIGEST = "([A-Za-z0-9+/]{8})"
_FINISHED = re.compile(rf"{_NUMBER} {_DIGEST}{_DIGEST}([=-]) {_NUMBER} {_NUMBER}", re.ASCII)

Totals = dict[str, dict[str, dict[str, int]]]
"""Organization → what was counted → files and bytes: `Tally.as_dict` of each organization."""

Expected = tuple[int, int, bool]
"""What counting ahead has found in the source: files, bytes, and whether it is through."""

encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""JSON in ASCII on one line, whatever characters a file name holds, half surrogates included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One execution. Without `ended_at` it is still running, or was killed: `statefolder.is_running` tells which."""

    run_id: str
    command: str
    source: str
    target: str
    settings_fingerprint: str
    started_at: float
    progress_at: float | None = None
    ended_at: float | None = None
    exit_status: int | None = None
    totals: Totals = field(default_factory=dict)
    expected: Expected | None = None


def decode(body: str) -> object:
    """The inverse of `encode`; None of what is no JSON."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def key_of(text: str) -> str:
    """A name as printable ASCII without line ends, two names never alike; ids and hex stay as they are, and so does their order."""
    return encode(text)[1:-1]


def text_of(key: object) -> str | None:
    """The inverse of `key_of`; None of what it never made."""
    text = decode(f'"{key}"')
    return text if isinstance(text, str) and key_of(text) == key else None


class Sealer:
    """Computes the seals of one ledger. Binding them to its two locations keeps out what belongs to another ledger."""

    def __init__(self, *identities: str) -> None:
        self._start = hashlib.blake2b(encode(identities).encode(), digest_size=8)

    def seal(self, kind: str, owner: str, name: str, body: str) -> bytes:
        """Return the digest of a row: of all its columns, so that a row under another name is noticed."""
        digest = self._start.copy()
        digest.update(f"{kind}\n{owner}\n{name}\n{body}".encode())
        return digest.digest()


def binding_body(source_identity: str, target_identity: str) -> object:
    """Return the row that binds a ledger to its two locations; read by `read_binding`."""
    return [source_identity, target_identity]


def read_binding(value: object) -> tuple[str, str] | None:
    """Return both identities, source first; None for what `binding_body` did not make."""
    match value:
        case [str(source), str(target)]:
            return source, target
    return None


def finished_body(folder: FinishedFolder) -> object:
    """One text, with hexadecimal numbers: there are 4,096 of them for an organization."""
    own = "=" if folder.is_own else "-"
    return f"{folder.newest_ns:x} {folder.source}{folder.target}{own} {folder.files:x} {folder.bytes:x}"


def read_finished(organization: str, prefix: str, value: object) -> FinishedFolder | None:
    """None too of the forms of earlier versions: times of the folder, which do not tell that a file in it was written to."""
    if len(prefix) != INDEX_LENGTH or not set(prefix) <= set(HEX_DIGITS) or not isinstance(value, str):
        return None
    found = _FINISHED.fullmatch(value)
    if found is None:
        return None
    newest, source, target, own, files, size = found.groups()
    return FinishedFolder(
        organization=organization,
        prefix=prefix,
        newest_ns=int(newest, 16),
        source=source,
        target=target,
        is_own=own == "=",
        files=int(files, 16),
        bytes=int(size, 16),
    )


def proven_body(shard: ProvenShard) -> object:
    """Return the row of a shard that verify proved; read by `read_proven`."""
    return list(shard[2:])


def read_proven(organization: str, prefix: str, value: object) -> ProvenShard | None:
    """Return the proven shard; None for what `proven_body` did not make."""
    if len(prefix) > INDEX_LENGTH or not set(prefix) <= set(HEX_DIGITS):
        return None
    match value:
        case [str(key), str(state), int() | float() as proven_at, str(sheet)] if _is_time(proven_at):
            return ProvenShard(organization, prefix, key, state, proven_at, sheet)
    return None


def provisional_body(copy: Provisional) -> object:
    """Return the row of a provisional copy; read by `read_provisional`."""
    return [copy.size, copy.changed_ns, copy.version]


def read_provisional(organization: str, name: str, value: object) -> Provisional | None:
    """Return the provisional copy; None for what `provisional_body` did not make."""
    match value:
        case [int(size), int(changed), str(version)] if (
            is_raw_id(name) and _are_counts([size, changed]) and _is_mark(version)
        ):
            return Provisional(organization, RawId(name), size, changed, version)
    return None


def upload_body(upload: UnfinishedUpload) -> object:
    """Return the row of an unfinished upload; read by `read_upload`."""
    return list(upload[2:])


def read_upload(organization: str, name: str, value: object) -> UnfinishedUpload | None:
    """Return the unfinished upload; None for what `upload_body` did not make."""
    match value:
        case [str(bucket), str(key), str(upload_id), int(part_size), str(source_version), int() | float() as began_at]:
            is_sound = is_raw_id(name) and key.endswith(name) and part_size > 0 and _is_time(began_at)
            if is_sound:
                return UnfinishedUpload(
                    organization, RawId(name), bucket, key, upload_id, part_size, source_version, began_at
                )
    return None


def problem_body(problem: Problem) -> object:
    """Return the row of a problem; read by `read_problem`."""
    return list(problem)


def read_problem(value: object) -> Problem | None:
    """Return the problem, also from ledgers of version 0.1; None for what is neither."""
    match value:
        case [str(kind), str(organization), str(where), str(reason), str(raw_id), int(size), *more]:
            is_sound = kind in PROBLEM_KINDS and (raw_id == "" or is_raw_id(raw_id)) and _are_counts([size])
            match more:
                case [] if is_sound:  # ledgers of version 0.1
                    return Problem(kind, organization, where, reason, raw_id, size)
                case [str(target), str(code), str(request_id)] if is_sound:
                    return Problem(kind, organization, where, reason, raw_id, size, target, code, request_id)
    return None


def read_problem_count(kind: str, value: object) -> tuple[str, int] | None:
    """Return the kind and how many problems of it there were; None for what is no such row."""
    match value:
        case int(count) if kind in PROBLEM_KINDS and _are_counts([count]):
            return kind, count
    return None


def run_body(row: RunRow) -> object:
    """Return the row of a run: its fields in order; read by `read_run`."""
    return [getattr(row, each.name) for each in fields(row)]


def read_run(name: str, value: object) -> RunRow | None:
    """Return the run, also from ledgers of version 0.1; None for what is neither."""
    match value:
        case [str(run_id), str(command), str(source), str(target), str(settings), *rest] if key_of(run_id) == name:
            match rest:
                case [started, progress, ended, (int() | None) as status, totals, *more] if (
                    _is_time(started)
                    and _is_time_or_none(progress)
                    and _is_time_or_none(ended)
                    and _are_totals(totals)
                    and len(more) <= 1  # ledgers of version 0.1 have nothing more
                ):
                    return RunRow(
                        run_id=run_id,
                        command=command,
                        source=source,
                        target=target,
                        settings_fingerprint=settings,
                        started_at=started,
                        progress_at=progress,
                        ended_at=ended,
                        exit_status=status,
                        totals=totals,
                        expected=_expected_of(*more),
                    )
    return None


def _expected_of(value: object = None) -> Expected | None:
    match value:
        case [int(files), int(size), bool(is_final)] if _are_counts([files, size]):
            return files, size, is_final
    return None


def read_report(name: str, value: object) -> dict[str, object] | None:
    """A run's report as it was kept; what it holds is compared with its form by who reads it."""
    return value if isinstance(value, dict) else None


def abilities_body(abilities: dict[str, object], at: float) -> object:
    """Return the row of a server's abilities; read by `read_abilities`."""
    return [at, abilities]


def read_abilities(value: object) -> tuple[float, dict[str, object]] | None:
    """Return when they were found, in seconds since the epoch, and the abilities; None for what is no such row."""
    match value:
        case [int() | float() as at, dict(abilities)] if _is_time(at):
            return at, abilities
    return None


def _are_counts(values: Iterable[object]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < END_OF_TIME


def _is_time_or_none(value: object) -> TypeGuard[float | None]:
    return value is None or _is_time(value)


def _is_mark(text: str) -> bool:
    """Whether it may go into an ``If-Match`` header as it is."""
    return 0 < len(text) <= MARK_MAX_LENGTH and text.isascii() and text.isprintable()


def _are_totals(value: object) -> TypeGuard[Totals]:
    return isinstance(value, dict) and all(
        isinstance(row, dict)
        and all(isinstance(count, dict) and _are_counts(list(count.values())) for count in row.values())
        for row in value.values()
    )
