"""What coordinator and workers say to each other: units of work one way, events the other. Small and picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from migrator.core.entities import Entry, FinishedFolder, ProvenShard, Provisional, RawId, Shard, UnfinishedUpload
from migrator.core.errors import MigratorError
from migrator.core.notices import Denial, Notice, NoticeKind, Problem
from migrator.core.tally import Shape, Tally


class Survey(NamedTuple):
    """A unit: find out how to cut an organization into shards, and whether a sample of what the ledger calls finished is still there.

    `lists_target`: all of the target is to be listed, and no sample is taken. `number` is the engine's: events carry it, so that an engine
    that may give a unit out twice can tell whose they are.
    """

    organization: str
    finished: Mapping[str, FinishedFolder] = {}
    number: int = 0
    lists_target: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A unit: a shard, and what the ledger knows of it.

    `finished` are its index folders that an earlier run finished. `lists_target`: the target is listed for them too, whether or not they
    changed at the source. `entries`: these raw files of the source, met already, and nothing is listed at either end. `denied`: all of
    its raw files fail by this. `number` as in `Survey`.
    """

    shard: Shard
    target_is_empty: bool
    finished: Mapping[str, FinishedFolder] = field(default_factory=dict)
    lists_target: bool = True
    entries: tuple[Entry, ...] | None = None
    provisional: Mapping[RawId, Provisional] = field(default_factory=dict)
    uploads: tuple[UnfinishedUpload, ...] = ()
    proven: ProvenShard | None = None
    denied: Denial | None = None
    number: int = 0


Unit = Survey | Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """An event: the organization's shards, by the length of their prefixes.

    `ledger_holds`: a sample of the target was as the ledger says of finished folders; else all has to be compared anew. `lists_target`: a
    sample is not enough this time. `sample_of`: among how many shards the sample was one; 0 if none was taken. `denied`: why
    nothing can be written there or read.
    """

    organization: str
    length: int
    target_is_empty: bool
    ledger_holds: bool = True
    lists_target: bool = True
    sample_of: int = 0
    denied: Denial | None = None
    unit: int = 0


@dataclass(slots=True, kw_only=True)
class ProgressEvent:
    """An event: what has happened in an organization since the last one. `extra` and `copied` are told only where somebody lists them.

    `outdated` are folders that an earlier run finished and that the target does not have as they were then. Of a verification: `proven`
    shards, those `relied_upon` that an earlier run proved, and the digests of `sheets` by prefix. `in_flight`: by how many bytes more, or
    fewer, large files have come that are not counted yet.
    """

    organization: str
    tally: Tally = field(default_factory=Tally)
    problems: list[Problem] = field(default_factory=list)
    extra: list[Problem] = field(default_factory=list)
    shape: Shape = field(default_factory=Shape)
    finished: list[FinishedFolder] = field(default_factory=list)
    outdated: list[tuple[str, str]] = field(default_factory=list)
    provisional: list[Provisional] = field(default_factory=list)
    settled: list[tuple[str, RawId]] = field(default_factory=list)
    proven: list[ProvenShard] = field(default_factory=list)
    relied_upon: list[ProvenShard] = field(default_factory=list)
    sheets: dict[str, str] = field(default_factory=dict)
    copied: list[Entry] = field(default_factory=list)
    in_flight: int = 0
    unit: int = 0

    def note(self, notice: Notice) -> None:
        """Take down what a scan met besides raw files."""
        if notice.kind is NoticeKind.STRAY:
            self.tally.stray.add(notice.size)
        elif notice.kind is NoticeKind.UNREADABLE_FOLDER:
            self.tally.unreadable_folders += 1
        self.problems.append(problem_of(notice))


class UploadBegan(NamedTuple):
    """An event that is acknowledged once it is durable: `worker` waits for `number`."""

    upload: UnfinishedUpload
    worker: int
    number: int


class UploadEnded(NamedTuple):
    """An event: the upload became an object, or was aborted."""

    upload: UnfinishedUpload


class Learned(NamedTuple):
    """An event: what a worker found out of the target's server, as a field of its abilities and the value."""

    name: str
    value: int


class UnitEnded(NamedTuple):
    """An event: a unit has come to its end; `error` is what ends the run, if anything."""

    error: MigratorError | None = None
    unit: int = 0


class Closed(NamedTuple):
    """An event: the bucket of this organization refuses everything; it ends the run once that holds for all of them."""

    organization: str
    error: MigratorError
    unit: int = 0


Event = Surveyed | ProgressEvent | UploadBegan | UploadEnded | Learned | Closed | UnitEnded


def problem_of(notice: Notice) -> Problem:
    """What the operator is told of a notice."""
    return Problem(
        notice.kind.value, notice.organization, notice.where, notice.reason, "", notice.size, code=notice.code
    )
