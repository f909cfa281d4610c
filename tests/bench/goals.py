"""What is asked of this tool, as ratios to others in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.tools import COPY_LOOP, LARGE_LOOP, OURS
from tests.bench.turns import Row, Sample, Section

PEERS = ("s5cmd", "rclone", "juicefs", "aws")
LARGEST_NOOP = 100e6


@dataclass(frozen=True)
class Verdict:
    work: str
    measure: str
    goal: str
    reached: str
    is_met: bool


def verdicts(sections: Sequence[Section]) -> list[Verdict]:
    """What can be judged from what was measured."""
    return [verdict for section in sections for verdict in _judges().get(section.name, _nothing)(section)]


def _judges() -> dict[str, Callable[[Section], Iterator[Verdict]]]:
    return {
        "upload": _upload,
        "download": lambda section: _against_each(section, {"s5cmd": 1.5, "rclone": 1.5, "juicefs": 1.0}),
        "tls": lambda section: _against_the_fastest(section, 2.0),
        "latency": lambda section: _against_the_fastest(section, 1.5),
        "upload-seaweedfs": lambda section: _against_the_fastest(section, 1.0),
        "download-seaweedfs": lambda section: _against_the_fastest(section, 1.0),
        "across": _across,
        "across-null": _across_null,
        "two-servers": lambda section: _against_the_fastest(section, 1.25),
        "verify": _verify,
        "verify-etag": _verify_etag,
        "prune": _prune,
        "noop": _noop,
        "large-up": lambda section: _against_each(section, {"s5cmd": 1.0}),
        "large-down": _large_down,
        "large-seaweedfs-up": lambda section: _against_the_fastest(section, 1.0),
        "large-seaweedfs-down": lambda section: _against_the_fastest(section, 1.0),
        "scan": _scan,
        "scale": _scale,
    }


def _nothing(section: Section) -> Iterator[Verdict]:
    return iter(())


def _upload(section: Section) -> Iterator[Verdict]:
    yield from _against_each(section, {"s5cmd": 2.0, "rclone": 2.0, "juicefs": 1.25})
    yield from _at_most(section, section.row(OURS), section.best("s5cmd"), "CPU a file to s5cmd's", 0.5, _cpu)


def _across(section: Section) -> Iterator[Verdict]:
    """A bare loop of libcurl takes half of s5cmd's CPU by itself: it is the limit, for CPU and rate."""
    ours, loop = section.row(OURS), section.row(COPY_LOOP)
    yield from _against_each(section, {"s5cmd": 1.0, "rclone": 1.5})
    yield from _at_least(section, ours, loop, "rate to a bare loop's", 0.8, _rate)
    yield from _at_most(section, ours, loop, "CPU to a bare loop's", 1.5, _cpu)


def _across_null(section: Section) -> Iterator[Verdict]:
    yield from _against_each(section, {"s5cmd": 2.0})
    yield from _at_most(section, section.row(OURS), section.best("s5cmd"), "CPU a file to s5cmd's", 0.5, _cpu)


def _verify(section: Section) -> Iterator[Verdict]:
    for label, other, goal in (
        ("--level content", f"{OURS} migrate to disk", 0.9),
        ("--level content", "rclone check --download", 1.5),
        ("--level content, S3 to S3", f"{OURS} migrate to disk", 0.45),
    ):
        measure = f"{label}: rate to that of {other}"
        yield from _at_least(section, section.row(f"{OURS} {label}"), section.row(other), measure, goal, _rate)


def _verify_etag(section: Section) -> Iterator[Verdict]:
    ours, peer = section.row(f"{OURS} --level etag"), section.row("rclone check")
    yield from _at_least(section, ours, peer, "rate to that of rclone check", 1.0, _rate)


def _prune(section: Section) -> Iterator[Verdict]:
    """Each source against the verification of the same two ends."""
    for source, proven in (("disk", "content"), ("S3", "content, S3")):
        proof = section.row(f"{OURS} verify --level {proven}")
        measure = f"source {source}: rate to that of verify --level {proven}"
        yield from _at_least(section, section.row(f"{OURS} prune, {source}"), proof, measure, 0.4, _rate)


def _noop(section: Section) -> Iterator[Verdict]:
    fastest = section.fastest(PEERS)
    for label in (f"{OURS} with its ledger", f"{OURS} --compare size"):
        ours = section.row(label)
        words = label.removeprefix(f"{OURS} ")
        if fastest is not None:
            yield from _at_most(section, ours, fastest, f"{words}: time to {fastest.name}'s", 0.8, _seconds_a_file)
        if ours is not None:
            peak = ours.median(lambda sample: sample.used.peak)
            yield Verdict(
                section.title, f"{words}: peak memory", "under 100 MB", f"{peak / 1e6:.0f} MB", peak < LARGEST_NOOP
            )
    loop = section.row("md5 (a bare loop, no server)")
    yield from _at_least(section, section.row(f"{OURS} by digest"), loop, "by digest: rate to plain MD5's", 0.6, _rate)


def _large_down(section: Section) -> Iterator[Verdict]:
    """Peers sync nothing, and s5cmd compares nothing: the bare loop that does both is the limit."""
    ours, loop = section.row(OURS), section.row(LARGE_LOOP)
    yield from _at_least(section, ours, loop, "rate to a bare loop's", 1.0, _rate)
    yield from _at_most(section, ours, loop, "CPU to a bare loop's", 1.25, _cpu)
    yield from _against_each(section, {"s5cmd": 0.6, "rclone": 1.0})


def _scan(section: Section) -> Iterator[Verdict]:
    loop = section.row("loop (scandir and stat)")
    for label, words, goal in ((f"{OURS}'s scan", "the scan alone", 1.5), (f"{OURS} plan", "a whole plan", 2.0)):
        yield from _at_most(section, section.row(label), loop, f"{words}: CPU to a bare loop's", goal, _cpu)


def _scale(section: Section) -> Iterator[Verdict]:
    costs = [row.median(_cpu) for row in section.rows if row.good]
    if len(costs) > 1:
        ratio = costs[-1] / costs[0]
        yield Verdict(
            section.title, "CPU a file with most to with fewest files", "at most 1.1", f"{ratio:.2f}", ratio <= 1.1
        )
        ratio = costs[-1] / costs[-2]
        yield Verdict(section.title, "… to with the second most", "at most 1.1", f"{ratio:.2f}", ratio <= 1.1)


def _against_each(section: Section, goals: dict[str, float]) -> Iterator[Verdict]:
    for name, goal in goals.items():
        yield from _at_least(section, section.row(OURS), section.best(name), f"rate to {name}'s", goal, _rate)


def _against_the_fastest(section: Section, goal: float) -> Iterator[Verdict]:
    fastest = section.fastest(PEERS)
    if fastest is not None:
        yield from _at_least(
            section, section.row(OURS), fastest, f"rate to the fastest peer's ({fastest.name})", goal, _rate
        )


def _at_least(
    section: Section, ours: Row | None, other: Row | None, measure: str, goal: float, value: Callable[[Sample], float]
) -> Iterator[Verdict]:
    ratio = ours.ratio_to(other, value) if ours is not None and other is not None else None
    if ratio is not None:
        yield Verdict(section.title, measure, f"at least {goal:g}", f"{ratio:.2f}", ratio >= goal)


def _at_most(
    section: Section, ours: Row | None, other: Row | None, measure: str, goal: float, value: Callable[[Sample], float]
) -> Iterator[Verdict]:
    ratio = ours.ratio_to(other, value) if ours is not None and other is not None else None
    if ratio is not None:
        yield Verdict(section.title, measure, f"at most {goal:g}", f"{ratio:.2f}", ratio <= goal)


def _rate(sample: Sample) -> float:
    return sample.files_a_second


def _cpu(sample: Sample) -> float:
    return sample.cpu_us_a_file


def _seconds_a_file(sample: Sample) -> float:
    return sample.used.wall / sample.files
