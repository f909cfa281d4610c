"""``scripts/powercut``: the medium as it was at random instants of a migration, compared with what the ledger there calls done.

Four ways: to a disk whose ledger lies on the same file system (`together`), on another one (`apart`), from S3 (`from-s3`), and to S3 with
only the ledger cut off (`to-s3`). From each instant the same command goes on to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import command, corpus, oracle
from tests.soak.images import KINDS, Image, Impossible, holder, kinds, made, why_not
from tests.soak.looks import descendants
from tests.soak.stage import Stage, hidden, say, stage

WAYS = ("together", "apart", "from-s3", "to-s3")
COUNTS = {f"organization-{number:02}": 40 for number in range(30)}
"""Many small ones: the ledger is told of each when it is done."""
FEW = dict(list(COUNTS.items())[:10])
"""As many as the short form moves."""

LARGE = 20 * corpus.MIB
LONGEST_PAUSE = 0.1
"""Seconds, at most, between two instants of one run."""

AFTER_EXIT = "right after exit 0"
SYNC_IN_NAME_ONLY = (
    "strace",
    "-f",
    "-qq",
    "--seccomp-bpf",
    "-e",
    "trace=syncfs",
    "-e",
    "inject=syncfs:retval=0",
    "-o",
    "/dev/null",
)

Expected = dict[oracle.RawFileName, oracle.OnDisk]


@dataclass(frozen=True)
class Instant:
    """`data` and `state` are copies of the media; one and the same where both lie together. `when` says when."""

    when: str
    data: Image
    state: Image


@dataclass
class Figures:
    """Lists hold sentences."""

    seed: int
    instants: dict[str, int] = field(default_factory=dict)
    """By way and file system."""
    after_exit: int = 0
    called_done: int = 0
    """Raw files that a ledger called done, over all instants."""
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        return len(self.lost) + len(self.torn) + len(self.others)

    @property
    def faultless(self) -> bool:
        return not self.wrong

    def lines(self) -> list[tuple[str, str]]:
        ways = ", ".join(f"{count} {way}" for way, count in self.instants.items())
        return [
            ("seed", str(self.seed)),
            ("power cuts", f"{sum(self.instants.values())} ({ways})"),
            (AFTER_EXIT, str(self.after_exit)),
            ("raw files called done", f"{self.called_done:,}"),
            ("of these missing", str(len(self.lost))),
            ("raw files torn", str(len(self.torn))),
            ("anything else", str(len(self.others))),
            ("time", f"{self.seconds:.0f} s"),
        ]


def cut(
    folder: Path,
    way: str,
    kind: str,
    instants: int,
    figures: Figures,
    *,
    control: bool = False,
    counts: Mapping[str, int] = COUNTS,
) -> None:
    """`instants` power cuts of one way on one kind of file system. With `control`, syncing only says that it succeeded.

    `counts` are raw files by organization.
    """
    for _ in rounds_of(folder, way, kind, instants, figures, control=control, counts=counts):
        pass


def rounds_of(
    folder: Path,
    way: str,
    kind: str,
    instants: int,
    figures: Figures,
    *,
    control: bool = False,
    counts: Mapping[str, int] = COUNTS,
) -> Iterator[None]:
    """As `cut`; pauses after each migration, when `figures` are what was found so far."""
    generator = random.Random(f"{figures.seed} {way} {kind}")
    name, left = f"{way} {kind}", instants
    with holder(folder) as held:
        while left > 0:
            if way == "to-s3":
                left -= _uploads_cut(folder, held, kind, left, generator, figures, counts)
            else:
                left -= _Round(folder, held, way, kind, generator, figures, control=control, counts=counts).run(left)
            figures.instants[name] = instants - max(0, left)
            say(f"{name}: {figures.instants[name]} of {instants} instants")
            yield


class _Round:
    """One migration to a disk, some instants of it, and what is found in each."""

    def __init__(
        self,
        folder: Path,
        held: Path,
        way: str,
        kind: str,
        generator: random.Random,
        figures: Figures,
        *,
        control: bool,
        counts: Mapping[str, int],
    ) -> None:
        self._counts = counts
        self._folder, self._held = folder, held
        self._way, self._kind, self._random, self._figures = way, kind, generator, figures
        self._before = SYNC_IN_NAME_ONLY if control else ()
        self._only_after_exit = control  # a stop and strace do not go together
        self._at, self._state_at = folder / "mounted", folder / "mounted-state"

    def run(self, most: int) -> int:
        """How many instants it gave."""
        source = self._folder / "source"
        corpus.make_store(source, self._counts, seed=self._random.getrandbits(32), sizes=4000, large=[LARGE])
        expected = oracle.disk_state(source)
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, source)
            words, env = self._command(stack, source)
            taken = list(self._instants(words, env, most))
            for instant in taken:
                self._hold(instant, words, env, expected)
                for image in {instant.data, instant.state}:
                    image.file.unlink()
        return len(taken)

    def _command(self, stack: contextlib.ExitStack, source: Path) -> tuple[tuple[str, ...], dict[str, str | None]]:
        state = str(self._state_at if self._way == "apart" else self._at) + "/state"
        env: dict[str, str | None] = {**hidden(), "HOME": str(self._folder / "home"), "BYTES_MIGRATOR_STATE_DIR": state}
        words = ("migrate", "--yes", "--json", "--to", f"{self._at}/data")
        if self._way == "from-s3":
            here = stack.enter_context(stage("weed", at=self._folder))
            env |= here.proxy.behind.env()
            forth = ("--from", str(source), "--to", "s3://powercut/{organization}")
            elsewhere = {**env, "BYTES_MIGRATOR_STATE_DIR": str(here.folder / "state")}
            command.run("migrate", "--yes", "--json", *forth, env=elsewhere).expect(0)
            return (*words, "--from", "s3://powercut/{organization}"), env
        # young raw files are named in the ledger one by one, settled ones by their folders: each way half of the time
        return (*words, "--from", str(source), "--settle", self._random.choice(["0", "3600"])), env

    def _instants(self, words: Sequence[str], env: dict[str, str | None], most: int) -> Iterator[Instant]:
        data = made(self._held / "data", self._kind)
        state = made(self._held / "state", self._kind) if self._way == "apart" else data
        with contextlib.ExitStack() as stack:
            stack.enter_context(data.mounted(self._at))
            if state is not data:
                stack.enter_context(state.mounted(self._state_at))
            with _started(self._before, words, env) as process:
                number = 0
                process.wait_for(lambda: any((self._at / "data").glob("*")))
                while number < most - 1 and process.is_running() and not self._only_after_exit:
                    time.sleep(self._random.random() * LONGEST_PAUSE)
                    with _standing_still(process):
                        if process.is_running():
                            yield self._taken(data, state, number, f"instant {number}")
                            number += 1
                done = process.finish()
                yield self._taken(data, state, number, AFTER_EXIT)
            if done.status != 0:
                self._figures.others.append(
                    f"{self._way} {self._kind}: exit status {done.status}: {done.stderr[-300:]}"
                )
            self._figures.after_exit += 1

    def _taken(self, data: Image, state: Image, number: int, when: str) -> Instant:
        """The data first: whatever a ledger's later copy calls done was on its medium before."""
        of_data = data.as_it_is(self._held / f"data-{number}")
        of_state = of_data if state is data else state.as_it_is(self._held / f"state-{number}")
        return Instant(when, of_data, of_state)

    def _hold(self, instant: Instant, words: Sequence[str], env: dict[str, str | None], expected: Expected) -> None:
        where = f"{self._way} {self._kind}, {instant.when}"
        figures = self._figures
        with contextlib.ExitStack() as stack:
            stack.enter_context(instant.data.mounted(self._at))
            if instant.state is not instant.data:
                stack.enter_context(instant.state.mounted(self._state_at))
            found = oracle.disk_state(self._at / "data")
            claims = claims_of(Path(str(env["BYTES_MIGRATOR_STATE_DIR"])), expected)
            figures.called_done += max(claims.count, len(claims.named))
            figures.lost += [f"{where}: {name} is called done" for name in claims.named - found.keys()]
            figures.torn += [f"{where}: {name}" for name in found if found[name] != expected.get(name)]
            if claims.count > len(found):
                figures.lost.append(f"{where}: {claims.count} raw files are called done, {len(found)} are there")
            if instant.when == AFTER_EXIT and found.keys() != expected.keys():
                figures.lost += [f"{where}: {name}" for name in expected.keys() - found.keys()]
            done = command.run(*words, env=env)
            if done.status != 0 or oracle.disk_state(self._at / "data") != expected:
                figures.others.append(f"{where}: going on ended with {done.status}: {done.stderr[-300:]}")
            left = [path for path in (self._at / "data").rglob(".*") if path.is_file()]
            figures.others += [f"{where}: {path} was left" for path in left]
        for image in {instant.data, instant.state}:
            if trouble := image.trouble():
                figures.others.append(f"{where}: {trouble}")


@dataclass(frozen=True)
class Claims:
    """What a ledger calls done: raw files by name, and their number in the last run."""

    named: frozenset[oracle.RawFileName]
    count: int


def claims_of(state: Path, expected: Expected) -> Claims:
    """Read without the program's own code. Finished folders stand for all raw files in them, provisional copies for one each."""
    named: set[oracle.RawFileName] = set()
    count = 0
    for path in state.rglob("*.sqlite*") if state.exists() else ():
        if path.suffix in (".sqlite", ".sqlite3"):
            with contextlib.closing(sqlite3.connect(path)) as ledger:
                rows = ledger.execute("SELECT kind, owner, name, body FROM facts").fetchall()
            named |= {(owner, name) for kind, owner, name, _ in rows if kind == "provisional"}
            folders = {(owner, name) for kind, owner, name, _ in rows if kind == "finished"}
            named |= {name for name in expected if (name[0], name[1][:3]) in folders}
            count = max([count, *(_copied(body) for kind, _, _, body in rows if kind == "run")])
    return Claims(frozenset(named), count)


def _copied(body: str) -> int:
    tables = [each for each in json.loads(body) if isinstance(each, dict)]
    rows = [row for table in tables for row in table.values() if isinstance(row, dict) and "copied" in row]
    return sum(row[outcome]["files"] for row in rows for outcome in ("copied", "present"))


def _uploads_cut(
    folder: Path,
    held: Path,
    kind: str,
    most: int,
    generator: random.Random,
    figures: Figures,
    counts: Mapping[str, int],
) -> int:
    """A migration to S3, cut off again and again; each time it goes on with the ledger that the medium had. How many cuts it took."""
    source, at = folder / "source", folder / "mounted-state"
    corpus.make_store(source, counts, seed=generator.getrandbits(32), sizes=4000, large=[LARGE] * 3)
    expected = oracle.disk_state(source)
    cuts = 0
    with stage("weed", at=folder) as here, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, source)
        image = made(held / "state", kind)
        words = ("migrate", "--yes", "--json", "--from", str(source), "--to", "s3://powercut/{organization}")
        env = here.env(at / "state")
        while cuts < min(most, 5):
            with image.mounted(at), command.start(*words, env=env) as process:
                asked = here.proxy.seen.requests.total()
                moment = asked + generator.randint(1, 900)
                running = process.wait_for(lambda asked=moment: here.proxy.seen.requests.total() >= asked)  # type: ignore[misc]
                with _standing_still(process):
                    after = image.as_it_is(held / f"cut-{cuts}")
                process.kill()
            image.file.unlink()
            image = after
            cuts += 1
            if not running:
                break
        with image.mounted(at):
            done = command.run(*words, env=env)
        if trouble := image.trouble():
            figures.others.append(f"to-s3 {kind}: {trouble}")
        if done.status != 0:
            figures.others.append(f"to-s3 {kind}: going on ended with {done.status}: {done.stderr[-300:]}")
        _hold_bucket(here, f"to-s3 {kind}", expected, figures)
    return cuts


def _hold_bucket(here: Stage, where: str, expected: Expected, figures: Figures) -> None:
    client = here.behind.client()
    found = oracle.s3_state(client, oracle.Single("powercut"))
    figures.called_done += len(expected)
    figures.lost += [f"{where}: {name}" for name in expected.keys() - found.keys()]
    figures.torn += [f"{where}: {name}" for name in found if tuple(found[name]) != expected[name][:2]]
    figures.others += [f"{where}: the upload of {key} was left" for key in oracle.uploads(client, "powercut")]
    if len(oracle.keys(client, "powercut")) > len(expected):
        figures.others.append(f"{where}: more objects than raw files")


@contextlib.contextmanager
def _started(before: Sequence[str], words: Sequence[str], env: dict[str, str | None]) -> Iterator[command.Process]:
    argv = [*before, *command.program(), *words]
    with command.Process(tuple(words), argv, env, None, ()) as process:
        yield process


@contextlib.contextmanager
def _standing_still(process: command.Process) -> Iterator[None]:
    """Stop every process of the run; what one of them has asked of the kernel is still done."""
    process.signal_group(signal.SIGSTOP)
    pids = [process.pid, *descendants(process.pid)]
    until = time.monotonic() + 5
    while any(_is_computing(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.001)
    try:
        yield
    finally:
        process.signal_group(signal.SIGCONT)


def _is_computing(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            if Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] in "RS":
                return True
    return False


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    figures = Figures(options.seed if options.seed is not None else random.SystemRandom().getrandbits(32))
    folder = Path(tempfile.mkdtemp(prefix="bytes-migrator-powercut-", dir=options.folder))
    began = time.monotonic()
    try:
        if why := why_not(folder):
            say(f"scripts/powercut: not here: {why}")
            return 77
        for kind in kinds():
            if kind in options.only:
                for way in options.way or WAYS:
                    cut(folder, way, kind, options.instants, figures, control=options.control)
    finally:
        subprocess.run(["umount", "-q", folder / "mounted", folder / "mounted-state"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    figures.seconds = time.monotonic() - began
    print_figures(figures)
    if options.control:
        return 0 if figures.lost or figures.torn else 1
    return 0 if figures.faultless else 1


def print_figures(figures: Figures) -> None:
    for kind in ("lost", "torn", "others"):
        for line in getattr(figures, kind)[:20]:
            say(f"{kind}: {line}")
    rows = figures.lines()
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("".join(f"{name:{width}}  {value}\n" for name, value in rows))


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/powercut", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instants", type=int, default=20, metavar="N", help="of each way on each file system (20)")
    parser.add_argument("--seed", type=int, help="of all that is random but the scheduler (drawn, and printed)")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this one (repeatable)")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS, help="file systems (all)")
    parser.add_argument("--folder", type=Path, help="where images lie while it runs (the system's)")
    parser.add_argument("--control", action="store_true", help="with a syncfs that does nothing: it must find losses")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Impossible as impossible:
        sys.stderr.write(f"scripts/powercut: {impossible}\n")
        sys.exit(77)
