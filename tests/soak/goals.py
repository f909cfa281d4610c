"""``scripts/reliability``: the goals of reliability as figures, each measured or with the reason why not."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from tests import command, corpus, oracle
from tests.bench import native
from tests.bench.servers import ACCESS_KEY, SECRET_KEY, null_sink
from tests.corpus import MIB
from tests.faults.proxy import RAW_FILE, SLOW_DOWN, Rule, answer, flip_in_answer, flip_in_request
from tests.soak import images
from tests.soak.kills import Plan, soak
from tests.soak.looks import Watch
from tests.soak.places import AtDisk, AtS3, Expected, held
from tests.soak.points import WAYS, Six, can_trace, killed_at, points_of
from tests.soak.powercut import WAYS as POWER_WAYS
from tests.soak.powercut import Figures as PowerFigures
from tests.soak.powercut import cut
from tests.soak.stage import Stage, hidden, say, stage

GIB = 1 << 30
MOST_RESENT = 0.15
MOST_MEMORY = 250e6
BEGIN, END = "<!-- scripts/reliability begins -->", "<!-- scripts/reliability ends -->"


@dataclass(frozen=True)
class Figure:
    """`is_met` None: not measured, and `reached` says why."""

    goal: str
    wanted: str
    reached: str
    is_met: bool | None


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


QUICK = Sizes(kills=5, soak_files=200, instants=3, points=6, flips=40, large=64 * MIB, sparse=1 * GIB)
Measure = Callable[[Path, Sizes], Iterator[Figure]]


def kills(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Item: SIGKILL at random."""
    with stage("weed", at=folder) as here:
        figures = soak(here, Plan(kills=sizes.kills, seed=26))
    left = len(figures.temporaries) + len(figures.uploads)
    wrong = len(figures.lost) + len(figures.torn) + len(figures.duplicates)
    yield Figure(
        "random SIGKILLs, both ways",
        "0 lost, torn, doubled; 0 temporary files and uploads left",
        f"{figures.total_kills} kills: {wrong} lost, torn or doubled; {left} left",
        figures.faultless,
    )


def resumed(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R3: killed at 90 %, how much is sent again."""
    with stage("weed", at=folder) as here:
        source, back = here.folder / "data", here.folder / "back"
        corpus.make_store(source, {"alpha": 0}, large=[sizes.large])
        forth = ("--from", str(source), "--to", "s3://large/{organization}")
        for direction, words in (("up", forth), ("down", ("--from", "s3://large/{organization}", "--to", str(back)))):
            yield _resumed(here, direction, words, sizes.large)
        same = oracle.disk_state(source) == oracle.disk_state(back)
    if not same:
        yield Figure("R3 contents after it", "the same", "other ones", False)


def _resumed(here: Stage, direction: str, words: tuple[str, ...], size: int) -> Figure:
    contents, env = here.proxy.seen.contents, here.env(here.folder / f"state-{direction}")
    with command.start("migrate", "--yes", "--json", *words, env=env) as process:
        process.wait_for(lambda: contents[direction] >= size * 0.9, timeout=600)
        process.kill()
    before = contents[direction]
    command.run("migrate", "--yes", "--json", *words, env=env, timeout=600).expect(0)
    again = (contents[direction] - before) / size
    return Figure(
        f"R3 one file of {size // MIB} MiB killed at 90 %, {direction}: sent by the next run",
        f"at most {MOST_RESENT:.0%}",
        f"{again:.1%} (killed after {before / size:.1%})",
        again <= MOST_RESENT,
    )


def memory(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Eight large files with eight jobs, and one huge sparse file, to the null sink."""
    try:
        built = native.build(folder / "native")
    except native.Missing as missing:
        yield Figure("memory with large files", "under 250 MB", f"not measured: {missing}", None)
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
        eight, huge = folder / "eight", folder / "huge"
        _sparse(eight, 8, sizes.large)
        _sparse(huge, 1, sizes.sparse)
        words = (
            f"memory, 8 jobs on eight files of {sizes.large // MIB} MiB",
            f"one sparse file of {sizes.sparse // GIB} GiB",
        )
        for name, source in zip(words, (eight, huge), strict=True):
            state = {"BYTES_MIGRATOR_STATE_DIR": str(folder / f"state-{source.name}")}
            there = ("--from", str(source), "--to", f"s3://{source.name}/{{organization}}", "--jobs", "8")
            process = command.start("migrate", "--yes", "--json", *there, env={**env, **state})
            with process, Watch(process.pid) as watch:
                done = process.finish(1800)
            fine = done.status == 0 and watch.memory < MOST_MEMORY
            yield Figure(name, "under 250 MB together", f"{watch.memory / 1e6:.0f} MB, exit status {done.status}", fine)


def _sparse(root: Path, count: int, size: int) -> None:
    """Holes but for a first page that is each one's own."""
    store = corpus.make_store(root, {"alpha": count}, sizes=4096)
    for path in oracle.disk_paths(store.root).values():
        with open(path, "r+b") as file:
            file.truncate(size)


def points(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R2."""
    goal, wanted = "R2 killed at every point", "all come to their end, at least 200 points"
    if not can_trace():
        yield Figure(goal, wanted, "not measured: strace is not installed or may not trace here", None)
        return
    met, tried, wrong = 0, 0, list[str]()
    with stage("weed", at=folder) as here:
        six = Six(here)
        for way in WAYS:
            every = points_of(six, way, folder)
            for point in every[:: max(1, len(every) // sizes.points)]:
                is_met, wrongs = killed_at(six, point)
                met, tried, wrong = met + is_met, tried + 1, wrong + wrongs
    for line in wrong:
        say(line)
    yield Figure(f"{goal} (SeaweedFS)", wanted, f"{met} of {tried} points met, {len(wrong)} wrong", not wrong)


def power(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R4."""
    goal, wanted = "R4 raw files called done, missing or torn after a power cut", "0 of at least 100 instants"
    if why := images.why_not(folder):
        yield Figure(goal, wanted, f"not measured: {why}", None)
        return
    for kind in images.kinds():
        figures = PowerFigures(26)
        for way in POWER_WAYS:
            cut(folder, way, kind, sizes.instants, figures)
        wrong = len(figures.lost) + len(figures.torn)
        said = f"{wrong} of {figures.called_done:,}, at {sum(figures.instants.values())} instants; {len(figures.others)} else"
        yield Figure(f"{goal}, {kind}", wanted, said, figures.faultless)


def flips(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R5: every raw file damaged once on its way, both ways."""
    for kind in ("weed", "rclone", "moto"):
        with stage(kind, at=folder) as here:
            source, back = here.folder / "data", here.folder / "back"
            corpus.make_store(source, {"alpha": sizes.flips}, sizes=2000)
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
            count = here.proxy.seen.faults.total()
        yield Figure(
            f"R5 bit flips, {kind}", "all found and put right", f"{count} flips, {wrong} wrong at the end", not wrong
        )


def _moved(here: Stage, words: tuple[str, ...], expected: Expected, end: AtS3 | AtDisk) -> int:
    done = command.run("migrate", "--yes", "--json", *words, env=here.env(), timeout=900)
    return (done.status != 0) + sum(map(len, held(expected, end).values()))


def storms(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R7: half of all requests are refused."""
    seconds: dict[float, float] = {}
    with stage("weed", at=folder) as here:
        source = here.folder / "data"
        corpus.make_store(source, {"alpha": sizes.flips}, sizes=2000)
        expected, wrong = oracle.disk_state(source), 0
        for number, share in enumerate((0.0, 0.5)):
            here.proxy.rules = (Rule(answer(SLOW_DOWN), probability=share, seed=7),) if share else ()
            bucket = f"storm-{number}"
            env = here.env(here.folder / bucket)
            began = time.monotonic()
            words = ("--from", str(source), "--to", f"s3://{bucket}/{{organization}}")
            done = command.run("migrate", "--yes", "--json", *words, env=env, timeout=900)
            seconds[share] = time.monotonic() - began
            here.proxy.calm()
            end = AtS3(here.behind.client(), oracle.Single(bucket), bucket)
            wrong += (done.status != 0) + sum(map(len, held(expected, end).values()))
    calm, stormy = seconds[0.0], seconds[0.5]
    said = f"{stormy:.0f} s, without faults {calm:.0f} s; {wrong} wrong"
    fine = not wrong and stormy <= 2.5 * calm + 60
    yield Figure("R7 half of all requests answered 503", "exit 0 within 2.5 times as long and 60 s", said, fine)


def day(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R16."""
    with stage("weed", at=folder) as here:
        plan = Plan(kills=20, seed=16, small=sizes.soak_files, large=1, faults=0.05, kills_a_leg=10)
        figures = soak(here, plan)
    grown = max(figures.within, default=0.0)
    fds = max(max(each, default=0) for each in figures.fds.values())
    said = (
        f"{figures.files:,} files, {figures.faults:,} faults, {figures.total_kills} kills: "
        f"{len(figures.lost) + len(figures.torn) + len(figures.duplicates)} wrong, "
        f"{len(figures.uploads) + len(figures.temporaries)} left, {len(figures.others)} else; "
        f"memory {grown / 1e3:+.1f} kB/s in a run's second half, {fds} open files at most"
    )
    yield Figure(
        "R16 a day: 5 % faults, 20 kills",
        "nothing wrong, nothing left, memory and open files do not grow",
        said,
        figures.faultless,
    )


def servers(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """R12: the whole job on each server by each scheme, as tests/e2e/test_five_servers.py does it, twice: for either naming."""
    told = folder / "five.xml"
    words = ("-m", "slow", "-p", "no:cacheprovider", "-o", "junit_family=xunit2", f"--junitxml={told}")
    subprocess.run([sys.executable, "-m", "pytest", "-q", *words, "tests/e2e/test_five_servers.py"], check=False)
    seconds: dict[tuple[str, str], float] = {}
    wrong: set[tuple[str, str]] = set()
    for case in ElementTree.parse(told).iter("testcase"):
        scheme, kind, _ = case.attrib["name"].partition("[")[2].rstrip("]").split("-", 2)
        seconds[kind, scheme] = seconds.get((kind, scheme), 0) + float(case.attrib["time"])
        if len(case):  # a failure, an error, or a server that is not installed
            wrong.add((kind, scheme))
    for (kind, scheme), took in sorted(seconds.items()):
        said = "not passed, or not installed" if (kind, scheme) in wrong else f"passed in {took:.0f} s"
        yield Figure(f"R12 {kind} over {scheme}", "both namings pass", said, (kind, scheme) not in wrong)


ELSEWHERE = {
    "R1 wrong or partial objects under any of the 78 faults": (
        "0",
        "scripts/test -- tests/faults holds it after each scenario",
    ),
    "R6 broken listings taken for an empty end": (
        "0",
        "test_a_broken_listing_of_the_target_is_no_empty_target and row 44",
    ),
    "R8 a server's restart in the middle of a run": ("0 reruns by hand", "rows 47 and 48 in tests/faults"),
    "R9 hostile keys out of the tree, or printed raw": (
        "0 of 10,000",
        "row 76 and tests/properties/test_naming_laws.py",
    ),
    "R10 links planted while it runs": ("0 escapes in 10,000 rounds", "row 23 in tests/faults"),
    "R11 damaged ledgers that lead to a false done": ("0 of 500", "rows 66 and 67 in tests/faults"),
    "R13 secrets in any output": ("0", "tests/command.py looks through every output of every test"),
    "R14 cause and cure with each exit status but 0": (
        "all",
        "rows of tests/faults; tests/command.py looks for tracebacks",
    ),
    "R15 proof levels told as they are": ("all", "rows 55 and 58 in tests/faults"),
}
"""Goals that tests hold: what is wanted, and where."""

MEASURES: dict[str, Measure] = {
    "resumed": resumed,
    "memory": memory,
    "power": power,
    "flips": flips,
    "storms": storms,
    "kills": kills,
    "points": points,
    "day": day,
    "servers": servers,
}


def table(figures: list[Figure], seconds: float) -> str:
    marks = {True: "yes", False: "**no**", None: "–"}
    lines = ["| goal | wanted | measured | met |", "|---|---|---|---|"]
    lines += [f"| {each.goal} | {each.wanted} | {each.reached} | {marks[each.is_met]} |" for each in figures]
    return "\n".join([*lines, "", f"Measured in {seconds / 60:.0f} minutes on this machine.", ""])


def insert(text: str, document: str) -> str:
    """Between the marks, or at the end."""
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{BEGIN}\n{document}{END}\n"
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{document}{END}{rest.partition(END)[2]}"


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    sizes = QUICK if options.quick else Sizes()
    for name in ("kills", "soak_files", "instants", "points"):
        if getattr(options, name) is not None:
            sizes = replace(sizes, **{name: getattr(options, name)})
    figures: list[Figure] = []
    began = time.monotonic()
    for name in options.only:
        folder = Path(tempfile.mkdtemp(prefix=f"bytes-migrator-{name}-", dir=options.folder))
        try:
            for figure in MEASURES[name](folder, sizes):
                say(f"{name}: {figure.goal}: {figure.reached}")
                figures.append(figure)
        finally:
            subprocess.run(["umount", "-q", *folder.glob("mounted*")], check=False, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)
    held_by_tests = [
        Figure(goal, wanted, f"not measured here: {why}", None) for goal, (wanted, why) in ELSEWHERE.items()
    ]
    document = table([*figures, *held_by_tests], time.monotonic() - began)
    if options.output:
        options.output.write_text(insert(options.output.read_text() if options.output.exists() else "", document))
    else:
        sys.stdout.write(document)
    return 1 if any(figure.is_met is False for figure in figures) else 0


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/reliability", description=__doc__)
    parser.add_argument("--only", type=lambda given: given.split(","), default=list(MEASURES), help=",".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help="small, in some minutes: to see that it works")
    parser.add_argument("--kills", type=int, help="random kills (200)")
    parser.add_argument("--soak-files", type=int, help="small files of the day's form, each way (20,000)")
    parser.add_argument("--instants", type=int, help="power cuts of each way and file system (20)")
    parser.add_argument("--points", type=int, help="about so many crash points each way (all)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table between this file's marks")
    parser.add_argument("--folder", type=Path, help="where data and servers lie while it runs (the system's)")
    options = parser.parse_args(words)
    if unknown := set(options.only) - MEASURES.keys():
        parser.error(f"not one of {', '.join(MEASURES)}: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
