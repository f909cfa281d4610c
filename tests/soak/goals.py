"""``scripts/reliability``: the goals of reliability as figures. Each go adds to what was counted before."""

from __future__ import annotations

import argparse
import datetime
import math
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from tests import command, corpus, oracle
from tests.bench import native
from tests.bench.servers import ACCESS_KEY, SECRET_KEY, null_sink
from tests.corpus import MIB
from tests.faults.proxy import RAW_FILE, SLOW_DOWN, Rule, answer, flip_in_answer, flip_in_request
from tests.fuzz.targets import TARGETS
from tests.soak import images
from tests.soak.counts import Counts, Go, Goal, insert, table
from tests.soak.hostile import keys_gone_wrong, ledgers_believed, stored_while_links_come_and_go
from tests.soak.kills import Plan, rounds, soak
from tests.soak.looks import Watch
from tests.soak.machine import walked
from tests.soak.places import AtDisk, AtS3, Expected, held
from tests.soak.points import WAYS, Six, can_trace, killed_at, points_of
from tests.soak.powercut import WAYS as POWER_WAYS
from tests.soak.powercut import Figures as PowerFigures
from tests.soak.powercut import rounds_of
from tests.soak.stage import Stage, hidden, say, stage

GIB = 1 << 30
MOST_RESENT = 0.15
MOST_MEMORY = 250e6
PAGE, KEPT = Path("docs/reliability-goals.md"), Path("docs/reliability-counts.ndjson")
POINT_SERVERS = ("weed", "rclone", "moto")
FLIP_SERVERS = ("weed", "rclone", "moto")
SERVERS = ("weed", "rclone", "moto", "jfs", "rgw")
SCHEMES = ("http", "https")
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")
NAMES = {"weed": "SeaweedFS", "jfs": "JuiceFS' gateway", "rgw": "Ceph's gateway"}


def name_of(server: str) -> str:
    """What a kind of server is called on the page."""
    return NAMES.get(server, server)


GOALS: dict[str, Goal] = {
    "R1": Goal("R1 wrong or partial objects under any of the 78 faults", "0", "scenarios of tests/faults", 200),
    **{
        f"R2 {kind}": Goal(f"R2 killed at every point, {name_of(kind)}", "all come to their end", "points", 200)
        for kind in POINT_SERVERS
    },
    "kills": Goal("random SIGKILLs, both ways", "0 lost, torn or doubled, nothing left behind", "kills", 1000),
    "R3 up": Goal("R3 one file killed at 90 %, up: sent by the next run", f"at most {MOST_RESENT:.0%}"),
    "R3 down": Goal("R3 one file killed at 90 %, down: sent by the next run", f"at most {MOST_RESENT:.0%}"),
    **{
        f"R4 {kind}": Goal(f"R4 power cuts, {kind}: called done, and missing or torn", "0", "instants", 400)
        for kind in FILE_SYSTEMS
    },
    **{
        f"R5 {kind}": Goal(f"R5 bit flips, {name_of(kind)}", "all found and put right", "flips", 800)
        for kind in FLIP_SERVERS
    },
    "R6": Goal("R6 broken listings taken for an empty end", "0", "broken listings", 50),
    "R7": Goal("R7 half of all requests answered 503", "exit status 0 within 2.5 times as long and 60 s"),
    "R8": Goal("R8 a server's restart in the middle of a run", "0 reruns by hand", "restarts", 3),
    "R9": Goal("R9 hostile keys that lead out of the tree, or are printed raw", "0", "keys", 10_000),
    "R10": Goal("R10 links planted while it stores: files that come outside", "0", "rounds", 10_000),
    "R11": Goal("R11 damaged ledgers that lead to a false done", "0", "ledgers", 500),
    **{
        f"R12 {kind} {scheme}": Goal(f"R12 the whole job on {name_of(kind)} by {scheme}", "both namings", "jobs", 2)
        for kind in SERVERS
        for scheme in SCHEMES
    },
    "R13": Goal("R13 secrets in any output", "0", "tests that search the output", 100),
    "R14": Goal("R14 cause and cure with each exit status but 0", "all", "kinds of bad input and errors", 100),
    "R15": Goal("R15 proof levels told as they are", "all", "tests", 20),
    "R16": Goal("R16 a day: 5 % faults, 20 kills", "nothing wrong, nothing left, no growth", "files", 100_000),
    **{
        f"fuzz {name}": Goal(f"fuzzed: {name}", "no crash, no hang, under 1 GiB", "minutes of CPU", 30)
        for name in TARGETS
    },
    "machine": Goal("Bytes, operator and faults as a state machine", "no step that breaks a law", "steps", 10_000),
    "memory eight": Goal("memory, 8 jobs on eight large files", "under 250 MB together"),
    "memory huge": Goal("memory, one sparse file of 20 GiB", "under 250 MB together"),
}


@dataclass(frozen=True)
class Sizes:
    """How much of everything; `QUICK` is to see that it works."""

    kills: int = 200
    soak_files: int = 20_000
    instants: int = 20
    points: int = 10_000
    flips: int = 400
    large: int = 512 * MIB
    sparse: int = 20 * GIB
    keys: int = 10_000
    rounds: int = 5_000
    ledgers: int = 100
    machines: int = 20
    fuzz_minutes: int = 30


QUICK = Sizes(5, 200, 3, 6, 40, 64 * MIB, 1 * GIB, keys=300, rounds=100, ledgers=5, machines=1, fuzz_minutes=1)


@dataclass(frozen=True)
class Trial:
    """`folder` is empty and its own; of all that is random, `seed` decides. Only `goals` are to be measured.

    After `until`, in seconds of `time.monotonic`, nothing more is to be begun. `counts` are those of earlier goes.
    """

    folder: Path
    sizes: Sizes
    seed: int
    goals: frozenset[str]
    counts: Counts
    until: float = math.inf

    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def wants(self, goal: str) -> bool:
        """Whether this goal is to be measured, and there is time."""
        return goal in self.goals and not self.is_over()


Measure = Callable[[Trial], Iterator[Go]]
"""Gives a go of each goal, whole or in parts, each as soon as it is known."""

_Part = TypeVar("_Part")


def _gauge(goal: str, *, is_met: bool, said: str) -> Go:
    """A figure that is measured anew each time."""
    return Go(goal, 1, 0 if is_met else 1, said)


def _counted(goal: str, tried: int, wrong: list[str], said: str = "") -> Go:
    """A count, with what is wrong shown to who watches."""
    for line in wrong:
        say(line)
    return Go(goal, tried, len(wrong), said)


def kills(trial: Trial) -> Iterator[Go]:
    """SIGKILL at random, in one run of trials."""
    killed, wrong = 0, list[str]()
    with stage("weed", at=trial.folder) as here:
        for figures in rounds(here, Plan(kills=trial.sizes.kills, seed=trial.seed)):
            yield _counted("kills", figures.total_kills - killed, [line for line in figures.wrong if line not in wrong])
            killed, wrong = figures.total_kills, figures.wrong
            if trial.is_over():
                break


def resumed(trial: Trial) -> Iterator[Go]:
    """R3: killed at 90 %, how much is sent again."""
    with stage("weed", at=trial.folder) as here:
        source, back = here.folder / "data", here.folder / "back"
        corpus.make_store(source, {"alpha": 0}, large=[trial.sizes.large])
        forth = ("--from", str(source), "--to", "s3://large/{organization}")
        for direction, words in (("up", forth), ("down", ("--from", "s3://large/{organization}", "--to", str(back)))):
            share, killed_after = _resumed(here, direction, words, trial.sizes.large)
            is_same = direction == "up" or oracle.disk_state(source) == oracle.disk_state(back)
            said = f"{share:.1%} of {trial.sizes.large // MIB} MiB, killed after {killed_after:.1%}"
            yield _gauge(
                f"R3 {direction}",
                is_met=share <= MOST_RESENT and is_same,
                said=said if is_same else f"{said}; other contents",
            )


def _resumed(here: Stage, direction: str, words: tuple[str, ...], size: int) -> tuple[float, float]:
    contents, env = here.proxy.seen.contents, here.env(here.folder / f"state-{direction}")
    with command.start("migrate", "--yes", "--json", *words, env=env) as process:
        process.wait_for(lambda: contents[direction] >= size * 0.9, timeout=600)
        process.kill()
    before = contents[direction]
    command.run("migrate", "--yes", "--json", *words, env=env, timeout=600).expect(0)
    return (contents[direction] - before) / size, before / size


def memory(trial: Trial) -> Iterator[Go]:
    """Eight large files with eight jobs, and one huge sparse file, to the null sink."""
    folder, sizes = trial.folder, trial.sizes
    try:
        built = native.build(folder / "native")
    except native.Missing as missing:
        say(f"memory: not measured: {missing}")
        return
    with null_sink(built) as sink:
        env: dict[str, str | None] = {
            **hidden(),
            "AWS_ENDPOINT_URL": sink.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOME": str(folder),
        }
        for name, count, size in (("eight", 8, sizes.large), ("huge", 1, sizes.sparse)):
            source = folder / name
            _sparse(source, count, size)
            state = {"BYTES_MIGRATOR_STATE_DIR": str(folder / f"state-{name}")}
            there = ("--from", str(source), "--to", f"s3://{name}/{{organization}}", "--jobs", "8")
            process = command.start("migrate", "--yes", "--json", *there, env={**env, **state})
            with process, Watch(process.pid) as watch:
                done = process.finish(1800)
            said = f"{watch.memory / 1e6:.0f} MB, {count} of {size // MIB:,} MiB, exit status {done.status}"
            yield _gauge(f"memory {name}", is_met=done.status == 0 and watch.memory < MOST_MEMORY, said=said)


def _sparse(root: Path, count: int, size: int) -> None:
    """Holes but for a first page that is each one's own."""
    store = corpus.make_store(root, {"alpha": count}, sizes=4096)
    for path in oracle.disk_paths(store.root).values():
        with open(path, "r+b") as file:
            file.truncate(size)


def points(trial: Trial) -> Iterator[Go]:
    """R2: the points of each server in an order of their own, beginning after those that earlier goes have tried."""
    if not can_trace():
        say("points: not measured: strace is not installed or may not trace here")
        return
    for kind in POINT_SERVERS:
        if not trial.wants(f"R2 {kind}"):
            continue
        with stage(kind, at=trial.folder) as here:
            six, missed = Six(here), 0
            every = [point for way in WAYS for point in points_of(six, way, trial.folder)]
            for point in next_of(every, trial.counts.tried(f"R2 {kind}"))[: trial.sizes.points]:
                if trial.is_over():
                    break
                is_met, wrong = killed_at(six, point)
                missed += not is_met
                said = f"a run has about {len(every)}" + (f"; not met: {missed}" if missed else "")
                yield _counted(f"R2 {kind}", int(is_met), wrong, said)


def next_of(every: Sequence[_Part], tried: int) -> list[_Part]:
    """All of them, mixed the same way each time; first those that come after the `tried` first ones."""
    mixed = random.Random(len(every)).sample(every, len(every))
    begin = tried % max(1, len(mixed))
    return mixed[begin:] + mixed[:begin]


def power(trial: Trial) -> Iterator[Go]:
    """R4."""
    if why := images.why_not(trial.folder):
        say(f"power: not measured: {why}")
        return
    for kind in images.kinds():
        if not trial.wants(f"R4 {kind}"):
            continue
        figures, tried, wrong = PowerFigures(trial.seed), 0, 0
        for way in next_of(POWER_WAYS, trial.seed):
            if trial.is_over():
                break
            for _ in rounds_of(trial.folder, way, kind, trial.sizes.instants, figures):
                count = sum(figures.instants.values())
                said = f"{figures.called_done:,} raw files were called done"
                yield Go(f"R4 {kind}", count - tried, figures.wrong - wrong, said)
                tried, wrong = count, figures.wrong
                if trial.is_over():
                    break
        for line in (*figures.lost, *figures.torn, *figures.others):
            say(line)


def flips(trial: Trial) -> Iterator[Go]:
    """R5: every raw file damaged once on its way, both ways."""
    for kind in FLIP_SERVERS:
        if not trial.wants(f"R5 {kind}"):
            continue
        with stage(kind, at=trial.folder) as here:
            source, back = here.folder / "data", here.folder / "back"
            corpus.make_store(source, {"alpha": trial.sizes.flips}, seed=trial.seed, sizes=2000)
            expected = oracle.disk_state(source)
            here.proxy.rules = (
                Rule(flip_in_request, method="PUT", path=RAW_FILE, tries=1, name="up"),
                Rule(flip_in_answer, method="GET", path=RAW_FILE, tries=1, name="down"),
            )
            there = "s3://flips/{organization}"
            ends: list[AtS3 | AtDisk] = [
                AtS3(here.behind.client(), oracle.Single("flips"), "flips"),
                AtDisk(back),
            ]
            wrong = _moved(here, ("--from", str(source), "--to", there), expected, ends[0])
            wrong += _moved(here, ("--from", there, "--to", str(back)), expected, ends[1])
            yield _counted(f"R5 {kind}", here.proxy.seen.faults.total(), wrong)


def _moved(here: Stage, words: tuple[str, ...], expected: Expected, end: AtS3 | AtDisk) -> list[str]:
    done = command.run("migrate", "--yes", "--json", *words, env=here.env(), timeout=900)
    wrong = [] if done.status == 0 else [f"ended with {done.status}: {done.stderr[-300:]}"]
    return wrong + [f"{kind}: {name}" for kind, names in held(expected, end).items() for name in names]


def storms(trial: Trial) -> Iterator[Go]:
    """R7: half of all requests are refused."""
    seconds: dict[float, float] = {}
    with stage("weed", at=trial.folder) as here:
        source = here.folder / "data"
        corpus.make_store(source, {"alpha": trial.sizes.flips}, sizes=2000)
        expected, wrong = oracle.disk_state(source), list[str]()
        for number, share in enumerate((0.0, 0.5)):
            here.proxy.rules = (Rule(answer(SLOW_DOWN), probability=share, seed=trial.seed),) if share else ()
            bucket = f"storm-{number}"
            env = here.env(here.folder / bucket)
            began = time.monotonic()
            words = ("--from", str(source), "--to", f"s3://{bucket}/{{organization}}")
            done = command.run("migrate", "--yes", "--json", *words, env=env, timeout=900)
            seconds[share] = time.monotonic() - began
            here.proxy.calm()
            end = AtS3(here.behind.client(), oracle.Single(bucket), bucket)
            wrong += [] if done.status == 0 else [f"ended with {done.status}: {done.stderr[-300:]}"]
            wrong += [f"{kind}: {name}" for kind, names in held(expected, end).items() for name in names]
    calm, stormy = seconds[0.0], seconds[0.5]
    for line in wrong:
        say(line)
    said = f"{stormy:.0f} s, without faults {calm:.0f} s; {len(wrong)} wrong"
    yield _gauge("R7", is_met=not wrong and stormy <= 2.5 * calm + 60, said=said)


def day(trial: Trial) -> Iterator[Go]:
    """R16."""
    with stage("weed", at=trial.folder) as here:
        small = trial.sizes.soak_files
        figures = soak(here, Plan(kills=20, seed=trial.seed, small=small, large=1, faults=0.05, kills_a_leg=10))
    grown = max(figures.within, default=0.0)
    fds = max(max(each, default=0) for each in figures.fds.values())
    said = (
        f"{figures.faults:,} faults, {figures.total_kills} kills; memory {grown / 1e3:+.1f} kB/s in a run's second half, "
        f"{fds} open files at most"
    )
    yield _counted("R16", figures.files, figures.wrong, said)


def hostile_keys(trial: Trial) -> Iterator[Go]:
    """R9."""
    yield _counted("R9", trial.sizes.keys, keys_gone_wrong(trial.seed, trial.sizes.keys, trial.folder))


def links(trial: Trial) -> Iterator[Go]:
    """R10."""
    tried, escaped, stored, planted = 0, list[str](), 0, 0
    for level in ("organization", "index folder"):
        swapped = stored_while_links_come_and_go(trial.folder / level, level, trial.sizes.rounds)
        tried, stored, planted = tried + trial.sizes.rounds, stored + swapped.stored, planted + swapped.links
        escaped += [f"outside of the target: {path}" for path in swapped.escaped]
    yield _counted("R10", tried, escaped, f"{planted:,} links, {stored:,} stored, the others refused")


def ledgers(trial: Trial) -> Iterator[Go]:
    """R11."""
    with stage("weed", at=trial.folder) as here:
        yield _counted("R11", trial.sizes.ledgers, ledgers_believed(here, trial.seed, trial.sizes.ledgers))


def machine(trial: Trial) -> Iterator[Go]:
    """Hypothesis' state machines, in memory and on a disk."""
    steps, wrong = walked(trial.seed, trial.sizes.machines)
    yield _counted("machine", steps, wrong)


def fuzz(trial: Trial) -> Iterator[Go]:
    """Each parser of what others wrote, from the corpora that are kept."""
    for name in TARGETS:
        if not trial.wants(f"fuzz {name}"):
            continue
        before = _seconds_of_children()
        done = subprocess.run(
            ["scripts/fuzz", name, str(60 * trial.sizes.fuzz_minutes)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        ran = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        wrong = (
            []
            if done.returncode == 0 and ran
            else [f"scripts/fuzz {name} ended with {done.returncode}: {done.stderr[-2000:]}"]
        )
        minutes = round((_seconds_of_children() - before) / 60)
        yield _counted(f"fuzz {name}", minutes, wrong, f"{int(ran[1]):,} inputs" if ran else "")


def _seconds_of_children() -> float:
    """CPU seconds of all processes that ended: beside other work, minutes of a clock would say too much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def servers(trial: Trial) -> Iterator[Go]:
    """R12: the whole job on each server by each scheme, for either naming. What is not installed is left out."""
    every: dict[str, list[str]] = {}
    for node in _collected("tests/e2e/test_five_servers.py"):
        scheme, kind, _ = node.partition("[")[2].split("-", 2)
        every.setdefault(f"R12 {kind} {scheme}", []).append(node)
    for goal, nodes in every.items():
        if trial.wants(goal) and (cases := _tests_of(trial.folder, *nodes)):
            yield _by_cases(goal, cases)


HELD_BY_TESTS: dict[str, tuple[str, ...]] = {
    "R1": ("tests/faults",),
    "R6": (
        "tests/faults/test_bulk_lane.py::test_a_broken_listing_of_the_target_is_no_empty_target",
        "tests/faults/test_bulk_lane.py::test_a_broken_listing_of_the_source_hides_nothing",
        "tests/faults/test_bulk_lane.py::test_a_listing_that_is_broken_once_is_asked_again",
        "tests/unit/stores/s3/listing/test_consistency.py",
    ),
    "R8": (
        "tests/faults/test_network.py::test_a_server_that_is_killed_and_comes_back_is_waited_for",
        "tests/faults/test_network.py::test_a_server_that_comes_back_with_nothing_ends_the_run",
    ),
    "R13": ("tests/e2e/test_secrets.py", "tests/dialects/test_dialects.py"),
    "R14": ("tests/e2e/test_bad_input.py", "tests/unit/stores/s3/errors"),
    "R15": (
        "tests/faults/test_network.py::test_without_etags_contents_are_proven_by_reading",
        "tests/faults/test_network.py::test_equal_contents_with_an_etag_that_tells_nothing_are_present_and_others_in_conflict",
        "tests/unit/core/test_equality.py",
    ),
}
"""Goals that tests hold, the slow ones too: their cases are counted."""

COUNTED_ELSEWHERE = r"test_every_point_of_both_ways|test_every_point\[|test_on_other_media_and_other_ways"
"""Long tests of what other goals count; those of a switch are `scripts/soak`'s."""

TESTS_OF_A_PART = 40
"""So many in one run of pytest, whose start takes seconds; they are counted when it ends."""


def by_tests(trial: Trial) -> Iterator[Go]:
    """R1, R6, R8, R13 to R15."""
    for goal, nodes in HELD_BY_TESTS.items():
        if not trial.wants(goal):
            continue
        every = [node for node in _collected(*nodes) if not re.search(COUNTED_ELSEWHERE, node)]
        left = next_of(every, trial.counts.tried(goal))
        while left and not trial.is_over():
            some, left = left[:TESTS_OF_A_PART], left[TESTS_OF_A_PART:]
            cases = _tests_of(trial.folder, *sorted(some))
            yield _by_cases(goal, cases, f"there are {len(every)}")


@dataclass(frozen=True)
class _Case:
    name: str
    has_failed: bool


def _by_cases(goal: str, cases: list[_Case], said: str = "") -> Go:
    return _counted(goal, len(cases), [f"failed: {case.name}" for case in cases if case.has_failed], said)


def _collected(*nodes: str) -> list[str]:
    """The tests that there are, each by its node."""
    words = ("--collect-only", "-p", "no:cacheprovider")
    done = subprocess.run([sys.executable, "-m", "pytest", *words, *nodes], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


def _tests_of(folder: Path, *nodes: str) -> list[_Case]:
    """Run these tests, the slow ones too; what came of each that was not skipped."""
    told = folder / "tests.xml"
    words = ("-q", "-n", "auto", "--dist", "worksteal", "-p", "no:cacheprovider", "--timeout", "1800")
    told_as = ("-o", "junit_family=xunit2", f"--junitxml={told}")
    subprocess.run([sys.executable, "-m", "pytest", *words, *told_as, *nodes], check=False, stdout=sys.stderr)
    return [
        _Case(case.attrib["name"], any(inner.tag in ("failure", "error") for inner in case))
        for case in ElementTree.parse(told).iter("testcase")
        if case.find("skipped") is None
    ]


MEASURES: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "resumed": (resumed, ("R3 up", "R3 down")),
    "memory": (memory, ("memory eight", "memory huge")),
    "keys": (hostile_keys, ("R9",)),
    "links": (links, ("R10",)),
    "ledgers": (ledgers, ("R11",)),
    "machine": (machine, ("machine",)),
    "fuzz": (fuzz, tuple(f"fuzz {name}" for name in TARGETS)),
    "flips": (flips, tuple(f"R5 {kind}" for kind in FLIP_SERVERS)),
    "storms": (storms, ("R7",)),
    "tests": (by_tests, tuple(HELD_BY_TESTS)),
    "servers": (servers, tuple(goal for goal in GOALS if goal.startswith("R12"))),
    "power": (power, tuple(f"R4 {kind}" for kind in FILE_SYSTEMS)),
    "points": (points, tuple(f"R2 {kind}" for kind in POINT_SERVERS)),
    "kills": (kills, ("kills",)),
    "day": (day, ("R16",)),
}
"""Each trial, with the goals that it measures; the quick ones first."""


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    sizes = QUICK if options.quick else Sizes()
    for name in COUNTS_OF_OPTIONS:
        if getattr(options, name) is not None:
            sizes = replace(sizes, **{name: getattr(options, name)})
    counts, commit = Counts(None if options.quick else KEPT), _commit()
    if options.page_only:
        write_page(counts)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers and mounts are cleared away
    faults = 0
    for name, goals in _chosen(options.only):
        folder = Path(tempfile.mkdtemp(prefix=f"bytes-migrator-{name}-", dir=options.folder))
        seed = counts.next_seed(goals)
        say(f"{name}: seed {seed}")
        until = time.monotonic() + 60 * options.minutes
        try:
            for go in MEASURES[name][0](Trial(folder, sizes, seed, frozenset(goals), counts, until)):
                so_far = counts.add(replace(go, seed=seed, date=datetime.date.today().isoformat(), commit=commit))
                say(f"{so_far.wrong} wrong of {so_far.tried:,}: {GOALS[go.goal].title} {go.said}")
                faults += go.wrong
        finally:
            subprocess.run(["umount", "-q", *folder.glob("mounted*")], check=False, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)
            if not options.quick:
                write_page(counts)
    if options.quick:
        sys.stdout.write(table(GOALS, counts.goes))
    return 1 if faults else 0


def write_page(counts: Counts) -> None:
    PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), table(GOALS, counts.goes)), encoding="utf-8")


def _chosen(names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Trials with the goals that each is to measure: all of a trial that is named, or those that are named themselves."""
    chosen = [
        (trial, goals if trial in names else tuple(goal for goal in goals if goal in names))
        for trial, (_, goals) in MEASURES.items()
    ]
    return [(trial, goals) for trial, goals in chosen if goals]


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


COUNTS_OF_OPTIONS = {
    "kills": "random kills (200)",
    "soak_files": "small files of the day's form, each way (20,000)",
    "instants": "power cuts of each way and file system (20)",
    "points": "at most so many crash points of each server (all)",
    "ledgers": "damaged ledgers (100)",
    "fuzz_minutes": "minutes by the clock for each fuzzed parser (30); minutes of CPU are counted",
    "machines": "walks of each state machine, of up to 500 steps (20)",
}


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/reliability", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda given: given.split(","),
        default=list(MEASURES),
        metavar="NAME,…",
        help=f"trials: {' '.join(MEASURES)}; or goals: {', '.join(GOALS)}",
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="N", help="after so many, each trial begins nothing more"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small, in some minutes, and not counted: to see that it works"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="measure nothing; write the page from what was counted"
    )
    for name, what in COUNTS_OF_OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=what)
    parser.add_argument("--folder", type=Path, help="where data and servers lie while it runs (the system's)")
    options = parser.parse_args(words)
    if unknown := set(options.only) - MEASURES.keys() - GOALS.keys():
        parser.error(f"not one of {', '.join(MEASURES)}: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
