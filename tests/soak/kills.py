"""SIGKILL at random moments, over migrations forth and back, and what is lost, torn, doubled or left behind: nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests import command, corpus, oracle
from tests.faults.proxy import (
    INTERNAL_ERROR,
    LISTING,
    RAW_FILE,
    SLOW_DOWN,
    Rule,
    answer,
    cut,
    flip_in_answer,
    flip_in_request,
    in_turn,
    lost_answer,
    reset_before_answer,
    reset_in_answer,
)
from tests.soak.looks import Watch, descendants, slope
from tests.soak.places import AtDisk, AtS3, Expected, held
from tests.soak.stage import Stage, say

ORGANIZATIONS = ("alpha", "alpha-2", "b1")
KILLS_A_LEG = 12
"""A leg is one migration, forth or back, with all its kills; then its ends are compared with each other, byte for byte."""

VICTIMS = {"all": 7, "coordinator": 2, "worker": 1}
"""Who is killed, and how often: every process of the run, the one that holds the ledger, one of its workers."""

LOOKING_AROUND = 25
"""About so many requests come before and besides the contents."""

RUN_SECONDS = 3600.0
ENOUGH = 5
"""Numbers that make a row in which a slope means something."""


@dataclass(frozen=True)
class Plan:
    """`faults` is the share of requests, from 0 to 1, that go wrong besides."""

    kills: int
    seed: int
    small: int = 200
    large: int = 2
    large_bytes: int = 24 * corpus.MIB
    faults: float = 0.0
    kills_a_leg: int = KILLS_A_LEG


@dataclass
class Figures:
    """What came of it. Lists hold sentences, one for each raw file or leftover concerned."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    legs: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    files: int = 0
    contents: Counter[str] = field(default_factory=Counter)
    """Bytes that had to be moved, "up" and "down"."""
    moved: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    temporaries: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Whatever else should not have been: exit statuses, totals that do not add up."""
    memory: dict[str, list[int]] = field(default_factory=lambda: {"forth": [], "back": []})
    """Peak of each run that came to its end, in bytes, in their order."""
    fds: dict[str, list[int]] = field(default_factory=lambda: {"forth": [], "back": []})
    within: list[float] = field(default_factory=list)
    """Growth of memory within the second half of each long run, in bytes a second."""
    seconds: float = 0.0

    @property
    def total_kills(self) -> int:
        return self.kills.total()

    @property
    def wrong(self) -> list[str]:
        """All that should not have been, in sentences."""
        named = {
            "lost": self.lost,
            "torn": self.torn,
            "twice": self.duplicates,
            "temporary file left": self.temporaries,
            "upload left": self.uploads,
            "else": self.others,
        }
        return [f"{what}: {line}" for what, lines in named.items() for line in lines]

    @property
    def faultless(self) -> bool:
        return not self.wrong

    def twice(self, direction: str) -> int:
        return max(0, self.moved[direction] - self.contents[direction])

    def lines(self) -> list[tuple[str, str]]:
        """Names and values, in the order in which they are printed."""
        killed = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        legs = ", ".join(f"{count} {way}" for way, count in sorted(self.legs.items()))
        rows = [
            ("seed", str(self.seed)),
            ("kills", f"{self.total_kills} ({killed or 'none'})"),
            ("migrations", f"{self.legs.total()} ({legs}), in {self.runs} runs, {self.files:,} raw files moved"),
        ]
        if self.faults:
            rows.append(("faults", f"{self.faults:,} requests went wrong"))
        for direction, words in (("up", "uploads"), ("down", "downloads")):
            share = 100 * self.twice(direction) / max(1, self.contents[direction])
            each = self.twice(direction) / max(1, self.total_kills) / 1e6
            rows.append(
                (
                    f"bytes sent twice, {words}",
                    f"{self.twice(direction):,} of {self.contents[direction]:,} ({share:.1f} %, {each:.2f} MB a kill)",
                )
            )
        rows += [
            ("files lost", str(len(self.lost))),
            ("files torn", str(len(self.torn))),
            ("duplicates", str(len(self.duplicates))),
            ("temporary files left", str(len(self.temporaries))),
            ("uploads left", str(len(self.uploads))),
            ("anything else", str(len(self.others))),
        ]
        memory = max(steepness(values) for values in self.memory.values()) / 1e6
        fds = max(steepness(values) for values in self.fds.values())
        rows += [
            (
                "peak memory",
                f"{max(max(values, default=0) for values in self.memory.values()) / 1e6:.0f} MB, slope {memory:+.3f} MB a migration",
            ),
            (
                "open files",
                f"{max(max(values, default=0) for values in self.fds.values())} at most, slope {fds:+.3f} a migration",
            ),
        ]
        if self.within:
            rows.append(("memory's growth within a run", f"{max(self.within) / 1e3:+.1f} kB a second at most"))
        rows.append(("time", f"{self.seconds:.0f} s"))
        return rows


def soak(stage: Stage, plan: Plan) -> Figures:
    """Kill until there were `plan.kills`; every migration that was begun is brought to its end and looked at."""
    *_, figures = rounds(stage, plan)
    return figures


def rounds(stage: Stage, plan: Plan) -> Iterator[Figures]:
    """As `soak`; gives the figures so far after each round forth and back."""
    yield from _Soak(stage, plan).run()


class _Soak:
    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._client = stage.behind.client()
        self._figures = Figures(plan.seed)

    def run(self) -> Iterator[Figures]:
        began = time.monotonic()
        number = 0
        self._stage.proxy.rules = storm(self._plan.faults, self._plan.seed)
        while self._figures.total_kills < self._plan.kills or not number:
            self._there_and_back(number)
            number += 1
            say(f"{self._figures.total_kills} of {self._plan.kills} kills, {self._figures.legs.total()} migrations")
            self._figures.faults = self._stage.proxy.seen.faults.total()
            self._figures.seconds = time.monotonic() - began
            yield self._figures

    def _there_and_back(self, number: int) -> None:
        home = self._stage.folder / f"round-{number}"
        plan = self._plan
        counts = dict.fromkeys(ORGANIZATIONS, plan.small // len(ORGANIZATIONS) or 1)
        store = corpus.make_store(
            home / "data", counts, seed=self._random.getrandbits(32), large=[plan.large_bytes] * plan.large
        )
        expected = oracle.disk_state(store.root)
        one = bool(number % 2)
        token = f"{plan.seed:x}-{number}"
        naming = oracle.Single(f"soak-{token}") if one else oracle.PerOrganization(f"soak-{token}-")
        there = f"s3://soak-{token}/{{organization}}" if one else f"s3://soak-{token}-{{organization}}"
        at_s3, at_disk = AtS3(self._client, naming, f"soak-{token}"), AtDisk(home / "back")
        env = self._stage.env(home / "state")
        forth = ("--from", str(store.root), "--to", there)
        back = ("--from", there, "--to", str(home / "back"))
        self._leg("forth", "up", forth, env, expected, at_s3, store.bytes)
        self._leg("back", "down", back, env, expected, at_disk, store.bytes)
        changed = oracle.disk_state(store.root) != expected
        if changed:
            self._figures.others.append(f"round {number}: the source was changed")
        at_s3.remove()
        shutil.rmtree(home)

    def _leg(
        self,
        way: str,
        direction: str,
        words: tuple[str, ...],
        env: dict[str, str | None],
        expected: Expected,
        end: AtS3 | AtDisk,
        size: int,
    ) -> None:
        figures, seen = self._figures, self._stage.proxy.seen
        figures.legs[way] += 1
        figures.files += len(expected)
        figures.contents[direction] += size
        before = seen.contents[direction]
        where = f"{way}, migration {figures.legs.total()}"
        sizes = {name: seen.size for name, seen in expected.items()}
        is_done, arrived = False, 0
        for _ in range(self._plan.kills_a_leg):
            if is_done or figures.total_kills >= self._plan.kills:
                break
            is_done = self._broken_off(self._moment(len(expected) - arrived, direction), words, env, where)
            arrived, torn = end.looked_over(sizes)
            figures.torn += [f"{where}: {name} seen after a kill" for name in torn]
        self._undisturbed(way, words, env, expected, where)
        figures.moved[direction] += seen.contents[direction] - before
        self._hold(where, expected, end)

    def _moment(self, missing: int, direction: str) -> Callable[[], bool]:
        """When to kill: at a random request, or, so that large files are met as often as small ones, at a random byte of contents."""
        seen = self._stage.proxy.seen
        if self._random.random() < 0.5:
            request = seen.requests.total() + self._random.randint(1, LOOKING_AROUND + missing)
            return lambda: seen.requests.total() >= request
        byte = seen.contents[direction] + self._random.randint(
            1, self._plan.large_bytes * max(1, self._plan.large) // 2
        )
        return lambda: seen.contents[direction] >= byte

    def _broken_off(
        self, is_time: Callable[[], bool], words: tuple[str, ...], env: dict[str, str | None], where: str
    ) -> bool:
        """A run that is killed when it is time, and a little later; True if it had ended by then."""
        wait = self._random.random() * 0.03
        victim = self._random.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        self._figures.runs += 1
        with command.start("migrate", "--yes", "--json", *words, env=env) as process:
            if not process.wait_for(is_time, timeout=RUN_SECONDS):
                self._ended(process.finish(), where)
                return True
            time.sleep(wait)
            if not process.is_running():
                self._ended(process.finish(), where)
                return True
            victim = self._kill(process, victim)
            done = process.finish(RUN_SECONDS)
        if victim == "worker" and done.status != 3:
            if done.status != 0:
                self._figures.others.append(f"{where}: exit status {done.status} after a worker was killed")
            return done.status == 0
        self._figures.kills[victim] += 1
        return False

    def _kill(self, process: command.Process, victim: str) -> str:
        """Who was killed; without any worker, it is the coordinator."""
        workers = descendants(process.pid) if victim == "worker" else []
        if workers:
            _kill(self._random.choice(workers))
            return victim
        process.signal(signal.SIGKILL)
        if victim == "all":
            process.signal_group(signal.SIGKILL)
            return victim
        return "coordinator"

    def _undisturbed(
        self,
        way: str,
        words: tuple[str, ...],
        env: dict[str, str | None],
        expected: Expected,
        where: str,
    ) -> None:
        self._figures.runs += 1
        with command.start("migrate", "--yes", "--json", *words, env=env) as process, Watch(process.pid) as watch:
            done = process.finish(RUN_SECONDS)
        if not self._ended(done, where):
            return
        self._figures.memory[way].append(watch.memory)
        self._figures.fds[way].append(watch.fds)
        if len(watch.looks) > 100:
            later = watch.looks[len(watch.looks) // 2 :]
            self._figures.within.append(slope([(look.seconds, look.memory) for look in later]))
        files = {name: count["files"] for name, count in done.json()["totals"].items()}
        if files["copied"] + files["present"] != len(expected):
            self._figures.others.append(f"{where}: {files} of {len(expected)} raw files")

    def _ended(self, done: command.Completed, where: str) -> bool:
        if done.status != 0:
            self._figures.others.append(f"{where}: exit status {done.status}: {done.stderr[-400:]}{done.stdout[-400:]}")
            return False
        oracle.assert_adds_up(done.json())
        return True

    def _hold(self, where: str, expected: Expected, end: AtS3 | AtDisk) -> None:
        """Everything that is there now against everything that should be, content and all."""
        found = held(expected, end)
        for kind, names in found.items():
            getattr(self._figures, kind).extend(f"{where}: {name}" for name in names)


def steepness(values: Sequence[float]) -> float:
    """By how much they grow from one to the next; 0 of a few."""
    return slope(list(enumerate(values))) if len(values) >= ENOUGH else 0.0


def storm(share: float, seed: int) -> tuple[Rule, ...]:
    """Rules by which this share of all requests goes wrong, each kind as often as the others."""
    if not share:
        return ()
    everywhere: list[Callable[..., None]] = [
        answer(SLOW_DOWN),
        answer(INTERNAL_ERROR),
        reset_before_answer,
        lost_answer,
        reset_in_answer(),
        cut(),
    ]
    return (
        Rule(
            in_turn(flip_in_request, *everywhere), method="PUT", path=RAW_FILE, probability=share, seed=seed, name="PUT"
        ),
        Rule(
            in_turn(flip_in_answer, *everywhere), method="GET", path=RAW_FILE, probability=share, seed=seed, name="GET"
        ),
        Rule(in_turn(*everywhere), path=LISTING, probability=share, seed=seed, name="listing"),
        Rule(in_turn(*everywhere), path=r"\?", probability=share, seed=seed, name="parts"),
    )


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
