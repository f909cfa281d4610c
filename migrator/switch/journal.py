"""The journal of a switch: one line of JSON before and after each step, durable before the step begins.

A file beside the ledgers, not within one: the guard and a rollback after a reboot need it with as little around it as can be, and a switch
holds no ledger while it stops and starts Bytes. It holds no secret. A last line that was cut off by a crash counts as not written.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from migrator.core.errors import CannotStart, LedgerBusy, MustStop
from migrator.ledger.directory import SWITCH_JOURNAL, StateFolder, sync_folder
from migrator.switch.steps import StepText, SwitchStep, steps_of, with_bytes_stopped

LOCK = "switch.lock"


class SwitchEnd(str, Enum):
    """How a switch ended."""

    SWITCHED = "switched"
    ROLLED_BACK = "rolled-back"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a step began and ended, in seconds since the epoch; `ended` is None for one that did not come to its end."""

    step: SwitchStep
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPlan:
    """What a rollback needs to know, and `switch --back`.

    `names` are the settings that change; `old_digest` and `new_digest` tell the contents of the settings. `words` are the options that
    name both ends, as lists of text; `ends` are both locations' identities. `is_back`: this switch takes an earlier one back.
    `proxy`: nginx that reads through, as `proxy.Proxy.spec` has it; empty without.
    """

    run: str
    source: str
    target: str
    ends: tuple[str, str]
    deployment: Mapping[str, str]
    settings: Mapping[str, str]
    names: tuple[str, ...]
    old_digest: str
    new_digest: str
    api: str = ""
    words: Mapping[str, Any] = field(default_factory=dict)
    is_back: bool = False
    began: float = 0.0
    proxy: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return its fields as the journal's first line has them."""
        return {name: getattr(self, name) for name in self.__slots__}

    @staticmethod
    def of(record: Mapping[str, Any]) -> SwitchPlan:
        """Inverse of `as_dict`. Raises KeyError, TypeError and ValueError for what is none."""
        known = {name: record[name] for name in SwitchPlan.__slots__ if name != "proxy"}
        known |= {"proxy": dict(record.get("proxy", {}))}  # earlier versions had none
        known |= {"ends": (str(record["ends"][0]), str(record["ends"][1])), "names": tuple(map(str, record["names"]))}
        return SwitchPlan(**known)


@dataclass(slots=True)
class Story:
    """What a journal says so far.

    `is_going_back`: a rollback began after Bytes was proven at its new place. `is_restored`: Bytes has its old settings again, and runs.
    """

    plan: SwitchPlan
    steps: list[StepTime] = field(default_factory=list)
    end: SwitchEnd | None = None
    ended_at: float | None = None
    trouble: str = ""
    is_going_back: bool = False
    is_restored: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nobody has brought it to an end."""
        return self.end is None

    @property
    def is_half_way(self) -> bool:
        """Whether Bytes may be stopped, or have its new settings, and nobody has brought that to an end."""
        return self.is_open and self.began(SwitchStep.STOP) and not self.is_reading_through

    @property
    def is_unfinished(self) -> bool:
        """Whether the next switch has something to end first: Bytes or nginx are not as they were."""
        return self.is_open and (self.began(SwitchStep.STOP) or self.began(SwitchStep.READ_THROUGH))

    @property
    def is_reading_through(self) -> bool:
        """Whether Bytes is at the new place for good, and nginx reads through while the rest is copied: only forward, or `--back`."""
        has_proven = any(one.step is SwitchStep.PROVE and one.ended is not None for one in self.steps)
        return self.is_open and bool(self.plan.proxy) and has_proven and not self.is_going_back

    @property
    def texts(self) -> Mapping[SwitchStep, StepText]:
        """Return what people read of each step of this switch, in their order."""
        return steps_of(reads_through=bool(self.plan.proxy))

    def began(self, step: SwitchStep) -> bool:
        """Return True if the step was begun, finished or not."""
        return any(one.step is step for one in self.steps)

    @property
    def downtime_seconds(self) -> float | None:
        """From the first stop until Bytes was seen healthy, or until now; None where Bytes was never stopped."""
        stopped = with_bytes_stopped(reads_through=bool(self.plan.proxy))
        times = [one for one in self.steps if one.step in stopped]
        if not times:
            return None
        return (times[-1].ended or self.ended_at or time.time()) - times[0].began


class SwitchJournal:
    """The journal of the switch of this state folder: there is one at a time. Written by whoever holds the lock."""

    def __init__(self, state: StateFolder) -> None:
        self.path = state.path / SWITCH_JOURNAL
        self._state = state
        self._descriptor: int | None = None

    @contextmanager
    def held(self, *, waits: bool = False) -> Iterator[None]:
        """Hold the lock for the block; it dies with the process that took it.

        A POSIX lock: processes that this one forks do not keep it.

        Raises:
            LedgerBusy: If another process holds it, unless `waits`.
        """
        self._state.ensure()
        descriptor = os.open(self._state.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._descriptor = descriptor
        try:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except OSError as error:
                raise LedgerBusy(
                    "switch-busy",
                    "Another switch is under way, or is being rolled back.",
                    why=f"The lock on {self._state.path / LOCK} is held.",
                    cure="Wait for it; `bytes-migrator status` shows its steps.",
                ) from error
            yield
        finally:
            self._descriptor = None
            os.close(descriptor)

    def is_held(self) -> bool:
        """Return whether another process holds the lock now."""
        if self._descriptor is not None:
            return False
        try:
            descriptor = os.open(self._state.path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def begin(self, plan: SwitchPlan) -> None:
        """Set an ended journal aside under its run's name, and begin one. Raises MustStop."""
        earlier = self.story()
        try:
            if earlier is not None:
                self.path.rename(self.path.with_name(f"switch-{earlier.plan.run}.journal"))
            elif self.path.exists():
                self.path.rename(self.path.with_name(f"switch-unreadable-{time.time_ns()}.journal"))
        except OSError as error:
            raise self._unwritable(error) from error
        self._append({"plan": plan.as_dict()})
        sync_folder(self.path.parent)

    def begin_step(self, step: SwitchStep) -> None:
        """Write down that a step begins, durably, before it does."""
        self._append({"step": step.value, "state": "begun", "at": time.time()})

    def end_step(self, step: SwitchStep) -> None:
        """Write down that a step is done."""
        self._append({"step": step.value, "state": "done", "at": time.time()})

    def note(self, trouble: str) -> None:
        """Write down why it is being rolled back. A journal that cannot be written does not keep Bytes from being brought back."""
        with suppress(MustStop):
            self._append({"trouble": trouble, "at": time.time()})

    def note_going_back(self) -> None:
        """Write down that a switch which reads through is being taken back, before it is. Raises MustStop."""
        self._append({"going-back": True, "at": time.time()})

    def note_restored(self) -> None:
        """Write down that Bytes has its old settings again and runs: a rollback that is begun anew leaves it alone.

        Where that cannot be written, such a rollback stops and starts Bytes once more.
        """
        with suppress(MustStop):
            self._append({"restored": True, "at": time.time()})

    def end(self, end: SwitchEnd) -> None:
        """Write down how the switch ended; nothing more is written after it."""
        self._append({"end": end.value, "at": time.time()})

    def story(self) -> Story | None:
        """Return what the journal says; None where there was no switch, or where nothing whole is in it.

        Raises:
            CannotStart: If it cannot be read.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CannotStart(
                "switch-journal-unreadable",
                f"The journal of the last switch, {self.path}, cannot be read: {error.strerror}.",
                cure="Run this as the user who ran that switch.",
            ) from error
        story: Story | None = None
        for line in lines[:-1]:  # what has no line feed behind it was cut off
            story = _with(story, line)
        return story

    def _append(self, line: Mapping[str, object]) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
                if not content.endswith(b"\n"):
                    os.ftruncate(descriptor, content.rfind(b"\n") + 1)  # a line that a crash cut off
                os.write(descriptor, json.dumps(line).encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> MustStop:
        return MustStop(
            "switch-journal-unwritable",
            f"The journal {self.path} cannot be written: {error.strerror}.",
            why="Without it, no switch can be taken back after a crash.",
            cure="Make room there, or name another folder by --state-dir.",
        )


def _with(story: Story | None, line: bytes) -> Story | None:
    """Return the story with one line more; a line that says nothing changes nothing."""
    try:
        record = json.loads(line)
        if "plan" in record:
            return Story(SwitchPlan.of(record["plan"]))
        if story is None:
            return None
        if "step" in record:
            _add_step(story, SwitchStep(record["step"]), is_done=record["state"] == "done", at=float(record["at"]))
        elif "trouble" in record:
            story.trouble = str(record["trouble"])
        elif "going-back" in record:
            story.is_going_back = True
        elif "restored" in record:
            story.is_restored = True
        elif "end" in record:
            story.end, story.ended_at = SwitchEnd(record["end"]), float(record["at"])
    except (ValueError, KeyError, TypeError, IndexError):
        return story
    return story


def _add_step(story: Story, step: SwitchStep, *, is_done: bool, at: float) -> None:
    if not is_done:
        story.steps.append(StepTime(step, at))
    elif story.steps and story.steps[-1].step is step:
        story.steps[-1] = StepTime(step, story.steps[-1].began, at)
