"""A process tree's memory and open files, looked at some times a second, and the slope of a row of numbers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Look:
    """`memory` in bytes, of all processes together with shared pages counted once; `fds` of the process that has most."""

    seconds: float
    memory: int
    fds: int


@dataclass
class Watch:
    """Looks at a process and its descendants from entering to leaving."""

    root: int
    looks: list[Look] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def memory(self) -> int:
        return max((look.memory for look in self.looks), default=0)

    @property
    def fds(self) -> int:
        return max((look.fds for look in self.looks), default=0)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._end.wait(_LOOK_SECONDS):
            pids = [self.root, *descendants(self.root)]
            memory, fds = sum(map(_memory, pids)), max(map(_open_files, pids))
            if memory:
                self.looks.append(Look(time.monotonic() - began, memory, fds))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line with the least squares through the points; 0 through fewer than two."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return float(sum((x - middle_x) * (y - middle_y) for x, y in points) / spread) if spread else 0.0


def descendants(root: int) -> list[int]:
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = [int(word) for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
                waiting += children
                found += children
    return found


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as lines:
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return 0


def _open_files(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
