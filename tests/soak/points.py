"""Killed at the Nth system call of a kind, and at the Nth request before and after it: every point of a small migration, one by one.

Nothing in the program helps: `strace` kills at system calls, the fault proxy at requests.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import command, corpus, oracle
from tests.faults.proxy import Exchange, Rule
from tests.soak import traced
from tests.soak.places import AtDisk, AtS3, Expected, held
from tests.soak.stage import Stage

SMALL = {"alpha": 3, "b1": 2}
LARGE = 20 * corpus.MIB
SYSCALLS = {
    "forth": ("sendto", "pwrite64", "fdatasync", "fsync"),
    "back": (
        "sendto",
        "recvfrom",
        "write",
        "pwrite64",
        "fdatasync",
        "mkdirat",
        "renameat2",
        "syncfs",
        "unlinkat",
        "fchmod",
    ),
}
"""Those with which something becomes visible, durable, or known to the server."""

WAYS = ("forth", "back")
RUN_SECONDS = 300.0
_KILLED = (-signal.SIGKILL, 3)
"""The coordinator was killed, or one of its workers, which ends the run with 3."""


@dataclass(frozen=True)
class Point:
    """`number` counts from 1: of a system call in each thread, of a request over all that fit `method` and `path`."""

    way: str
    kind: str
    number: int = 1
    method: str = ""
    path: str = ""

    def __str__(self) -> str:
        return f"{self.way}: {self.kind} {self.number} {self.method}{self.path}".strip()


@dataclass
class Six:
    """Six raw files, one of them large, to be moved forth and back; each time anew."""

    stage: Stage
    expected: Expected = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        source = self.stage.folder / "six"
        corpus.make_store(source, SMALL, seed=6, sizes=3000, large=[LARGE])
        self.expected = oracle.disk_state(source)
        self._there = "s3://six/{organization}"
        self._move("--from", str(source), "--to", self._there, env=self.stage.env())

    def _move(self, *words: str, env: dict[str, str | None]) -> None:
        command.run("migrate", "--yes", "--json", *words, env=env, timeout=RUN_SECONDS).expect(0)

    @contextlib.contextmanager
    def anew(self, way: str) -> Iterator[Once]:
        """One migration from its beginning."""
        self._number += 1
        home = self.stage.folder / f"once-{self._number}"
        home.mkdir()
        bucket = f"six-{self._number}"
        client = self.stage.behind.client()
        end: AtS3 | AtDisk = AtS3(client, oracle.Single(bucket), bucket) if way == "forth" else AtDisk(home / "data")
        words = (
            ("--from", str(self.stage.folder / "six"), "--to", f"s3://{bucket}/{{organization}}")
            if way == "forth"
            else ("--from", self._there, "--to", str(home / "data"))
        )
        try:
            yield Once(self, words, self.stage.env(home / "state"), end)
        finally:
            if isinstance(end, AtS3):
                end.remove()
            shutil.rmtree(home)


@dataclass(frozen=True)
class Once:
    """`words` are options of migrate."""

    six: Six
    words: tuple[str, ...]
    env: dict[str, str | None]
    end: AtS3 | AtDisk

    def started(self, *traced_with: str) -> command.Process:
        """Start it, with `strace` attached if there are options for that."""
        words = ("migrate", "--yes", "--json", *self.words)
        return traced.started(words, self.env, *traced_with) if traced_with else command.start(*words, env=self.env)

    def converged(self) -> list[str]:
        """The same command again, undisturbed; what is wrong afterwards, in sentences."""
        done = command.run("migrate", "--yes", "--json", *self.words, env=self.env, timeout=RUN_SECONDS)
        wrong = [] if done.status == 0 else [f"going on ended with {done.status}: {done.stderr[-300:]}"]
        if done.status == 0:
            oracle.assert_adds_up(done.json())
        return wrong + [
            f"{kind}: {name}" for kind, names in held(self.six.expected, self.end).items() for name in names
        ]


def counted(six: Six, way: str, folder: Path) -> dict[str, int]:
    """How often an undisturbed migration makes each call: the most of any thread; requests as "request"."""
    log = folder / f"calls-{way}"
    with six.anew(way) as once:
        asked = six.stage.proxy.seen.requests.total()
        with once.started("-e", f"trace={','.join(SYSCALLS[way])}", "-o", str(log)) as process:
            process.finish(RUN_SECONDS).expect(0)
        requests = six.stage.proxy.seen.requests.total() - asked
    calls = Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))
    log.unlink()
    most: dict[str, int] = {}
    for (_, name), count in calls.items():
        most[name] = max(most.get(name, 0), count)
    return {**most, "request before": requests, "request after": requests}


def points_of(six: Six, way: str, folder: Path) -> list[Point]:
    """Every point of a migration this way, as an undisturbed one shows them."""
    counts = counted(six, way, folder)
    return [Point(way, kind, number) for kind in sorted(counts) for number in range(1, counts[kind] + 1)]


def killed_at(six: Six, point: Point) -> tuple[bool, list[str]]:
    """Whether the point was met, and what is wrong after going on."""
    with six.anew(point.way) as once:
        if point.kind.startswith("request"):
            is_met = _killed_at_request(once, point)
        else:
            what = f"inject={point.kind}:signal=KILL:when={point.number}"
            with once.started("-e", f"trace={point.kind}", "-e", what, "-o", "/dev/null") as process:
                status = process.finish(RUN_SECONDS).status
            is_met = status in (*_KILLED, 128 + signal.SIGKILL)
            if not is_met and status != 0:
                return True, [f"{point}: ended with {status}"]
        return is_met, [f"{point}: {wrong}" for wrong in once.converged()]


def _killed_at_request(once: Once, point: Point) -> bool:
    is_known, is_met = threading.Event(), threading.Event()
    running: list[command.Process] = []

    def kill(exchange: Exchange) -> None:
        if point.kind == "request after":
            exchange.forward()
        is_known.wait()
        is_met.set()
        for process in running:
            process.signal_group(signal.SIGKILL)
        exchange.hang_up()

    proxy = once.six.stage.proxy
    proxy.rules = (Rule(kill, method=point.method, path=point.path, nth=frozenset({point.number})),)
    try:
        with once.started() as process:
            running.append(process)
            is_known.set()
            process.finish(RUN_SECONDS)
    finally:
        proxy.calm()
    return is_met.is_set()


def can_trace() -> bool:
    """Whether system calls can be met here at all."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(
        ["strace", "-qq", "-e", "trace=getpid", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return done.returncode == 0
