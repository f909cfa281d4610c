"""What a run came to, in sentences: the same on the console and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from migrator.core.notices import LINKED_FILE, OTHER_FOLDER_WITH_RAW_FILES, NoticeKind, Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Tally
from migrator.reports.estimate import Estimate
from migrator.reports.formatting import duration, files, number, placed, plural, shown, size
from migrator.reports.report import MAX_DURATION, Report
from migrator.transfer.file_copier import DIFFERENT_CONTENT

KINDS = {
    "left-alone": ("bucket without raw files: left alone", "buckets without raw files: left alone"),
    "stray": ("stray (not a raw file), left where it is", "strays (not raw files), left where they are"),
    "vanished": ("vanished while this ran", "vanished while this ran"),
    "refused": ("refused: no valid name at the target", "refused: no valid name at the target"),
    "unreadable-folder": (
        "folder cannot be read: what it holds was not counted",
        "folders cannot be read: what they hold was not counted",
    ),
    "closed": (
        "raw file or folder that Bytes' user cannot use: owner or mode keeps it out",
        "raw files and folders that Bytes' user cannot use: owner or mode keeps it out",
    ),
    "pending": ("pending: the run ended before it came to this", "pending: the run ended before it came to these"),
    "failed": ("failed", "failed"),
    "conflict": (
        "in conflict: the target holds something else, and it was left alone",
        "in conflict: the target holds something else, and it was left alone",
    ),
}
"""What each kind of problem is called, for one and for several; the gravest last."""

WHAT_NEXT = {
    "failed": "rerun to try it again",
    "pending": "rerun to resume it",
    "conflict": "left alone; find out which one is right, move the wrong one away, rerun",
    "refused": "not copied; needs another bucket name, or one bucket for all",
    "vanished": "nothing to do: it was deleted at the source",
    "unreadable-folder": "give the right to read it, rerun",
    "closed": "run `migrate` as root with --owner USER (kat, or 1000:1000): it corrects owner and mode",
    "stray": "left where it is: Bytes does not read it",
    "left-alone": "nothing to do: no raw file of Bytes lies in it",
    "extra": "left where it is: Bytes may have saved it there",
}
"""What becomes of each kind of problem."""

COUNTED_BY_REASON = ("stray", "left-alone", "vanished")
"""Kinds that need nothing of anybody: counted by reason, not listed one by one."""
REASONS_SHOWN = 3


def verdict(report: Report, see: str = "see above") -> str:
    """Is everything accounted for? One sentence; `see` says where the details are."""
    tally = report.overall
    took = duration(report.seconds)
    if report.state == "running":
        return f"The run is in progress: {identity(tally)} so far."
    if report.state == "killed":
        return f"The run ended without a word, killed perhaps: {identity(tally)} by then. Rerun the same command to resume."
    if report.stopped is not None:
        return f"The run had to stop after {took}: {shown(report.stopped.what)} By then: {identity(tally)}."
    if report.dry_run:
        return _verdict_of_plan(report, tally)
    if report.interrupted_by and report.command == "verify":
        done = (
            f"{number(tally[Outcome.PROVEN].files)} of the {files(tally.discovered.files)} that it came to were proven"
        )
        return f"{_stopped_by(report.interrupted_by)} after {took}: {done}. Rerun the same command to resume."
    if report.interrupted_by:
        left = "" if report.counting_is_final else " at least"
        return (
            f"{_stopped_by(report.interrupted_by)} after {took}: {files(tally[Outcome.COPIED].files)} copied, "
            f"{number(tally[Outcome.PRESENT].files)} were there already,{left} {number(tally[Outcome.PENDING].files)} are left."
        )
    discovered = tally.discovered
    if report.deleted is not None and report.kept is not None:
        deleted = f"{files(report.deleted.files)} ({size(report.deleted.bytes)}) deleted at the source"
        return f"{deleted}, {number(report.kept.files)} kept, in {took}."
    if report.command == "verify":
        return _verdict_of_verify(tally, took, see)
    if report.nothing_to_do:
        return f"Nothing to copy: all {files(discovered.files)} ({size(discovered.bytes)}) are at the target already ({took})."
    if only_closed(tally):
        return (
            f"Everything is at the target, and Bytes cannot use all of it, {see}: owner or mode keeps its user out of "
            f"{number(tally.closed.files)} raw files and folders (in {took})."
        )
    if tally.is_clean:
        present = tally[Outcome.PRESENT].files
        there = f" and {number(present)} there already" if present else ""
        return (
            f"Everything is accounted for: {files(discovered.files)} ({size(discovered.bytes)}), "
            f"{number(tally[Outcome.COPIED].files)} copied{there}, in {took}."
        )
    return f"Not everything is at the target, {see}: {identity(tally)} (in {took})."


def _verdict_of_verify(tally: Tally, took: str, see: str) -> str:
    discovered = tally.discovered
    if not discovered.files:
        return f"There was nothing to prove (in {took})."
    if tally.is_proven:
        return f"Proven: all {files(discovered.files)} ({size(discovered.bytes)}), in {took}."
    return f"Not everything is proven, {see}: {identity(tally)} (in {took})."


def further(report: Report) -> Iterator[str]:
    """What else has to be said at the end."""
    tally = report.overall
    if tally.owner_corrected.files:
        corrected = f"{number(tally.owner_corrected.files)} raw files and folders at the target kept Bytes' user out: owner or mode"
        yield f"{corrected} would be set right." if report.dry_run else f"{corrected} was set right."
    yield from left_behind(report)
    if report.dry_run:
        yield from _further_of_plan(report)
    elif tally.present_unseen.files:
        yield from _unseen(report, tally.present_unseen.files)


def left_behind(report: Report) -> Iterator[str]:
    """Yield a sentence for each kind of stray that Bytes may read now, and would not find at the new place."""
    links = report.totals.groups[NoticeKind.STRAY.value, LINKED_FILE]
    if links:
        named = "symbolic link named like a raw file" if links == 1 else "symbolic links named like raw files"
        yield (
            f"Left behind: {number(links)} {named}. Bytes follows links, and would find nothing at the new place: "
            "put the file in the place of its link, and rerun."
        )
    folders = report.totals.groups[NoticeKind.STRAY.value, OTHER_FOLDER_WITH_RAW_FILES]
    if folders:
        yield (
            f"Left behind: {plural(folders, 'folder')} with raw files whose name no organization can have. If it is one that Bytes "
            "knows, rename it to the organization's code, and rerun; if it is a copy, move it out of the data folder."
        )


def _unseen(report: Report, unseen: int) -> Iterator[str]:
    """What was not looked at, and how small the sample was."""
    yield f"{files(unseen)} did not change at the source since an earlier run found or copied them at the target."
    samples, among = report.totals.samples, report.totals.sampled_of
    checked = (
        f"This run checked {number(samples)} of {plural(among, 'part')} of the target, as a sample." if among else ""
    )
    yield f"{checked} `migrate --full` lists all of it: use it for the last run.".lstrip()


def problem_line(problem: Problem) -> str:
    """Where it is and why; of a conflict, also the size that both ends have where the reason has not two sizes."""
    line = placed(problem.where, problem.reason)
    is_one_size = problem.kind == Outcome.CONFLICT.value and problem.reason == DIFFERENT_CONTENT
    return f"{line} ({size(problem.size)} at both ends)" if is_one_size else line


def only_closed(tally: Tally) -> bool:
    """Whether nothing else is wrong than that Bytes' user cannot use what lies at the target."""
    return bool(tally.closed.files) and replace(tally, closed=Count()).is_clean


def identity(tally: Tally) -> str:
    """Return the sum that a number of raw files is made of: '3 copied + 1 conflict'."""
    parts = [f"{number(tally[outcome].files)} {outcome.value}" for outcome in Outcome if tally[outcome].files]
    return " + ".join(parts) or "nothing"


def estimate_lines(estimate: Estimate) -> Iterator[str]:
    """Time and space, and what they rest on."""
    if estimate.seconds[1] > 0:
        yield f"It would take about {time_range(estimate)}. Assumptions:"
        for index, reason in enumerate(estimate.rests_on):
            yield f"  {reason}{',' if index < len(estimate.rests_on) - 1 else '.'}"
    if estimate.free_bytes is not None and estimate.free_bytes_after is not None:
        yield f"Space at the target: {size(estimate.free_bytes)} free, {_left(estimate.free_bytes_after, size)} afterwards."
    if estimate.free_inodes is not None and estimate.free_inodes_after is not None:
        yield (
            f"Inodes at the target: {number(estimate.free_inodes)} free, "
            f"{_left(estimate.free_inodes_after, number)} afterwards."
        )
    if estimate.is_short_of:
        yield f"There is not enough {estimate.is_short_of} at the target: make room first."


def time_range(estimate: Estimate) -> str:
    """'3 min 20 s to 40 min 10 s', or 'less than a second'."""
    if estimate.seconds[1] < 1:
        return "a second at most"
    fast, slow = (duration(seconds) for seconds in estimate.seconds)
    return fast if fast == slow else f"{fast} to {slow}"


def _left(count: int, words: Callable[[int], str]) -> str:
    return f"{words(-count)} too few" if count < 0 else f"about {words(count)}"


def _verdict_of_plan(report: Report, tally: Tally) -> str:
    discovered = tally.discovered
    counted = f"{files(discovered.files)}, {size(discovered.bytes)}: {identity(tally)}."
    if not report.interrupted_by:
        return counted
    met = sum(1 for row in report.rows if row.tally.discovered.files)
    reached = f"{number(met)} of {plural(len(report.rows), 'organization')}"
    return f"{_stopped_by(report.interrupted_by)} after {duration(report.seconds)}, having come to {reached}: so far {counted}"


def _further_of_plan(report: Report) -> Iterator[str]:
    missing = report.overall[Outcome.MISSING]
    requests = f", with about {_requests(report, missing.files)}" if _asks_s3(report) else ""
    yield f"A migration would copy {files(missing.files)} ({size(missing.bytes)}){requests}."
    if report.buckets_to_create:
        first = ", ".join(shown(bucket) for bucket in report.buckets_to_create[:5])
        more = ", …" if len(report.buckets_to_create) > 5 else ""
        yield f"It would create {plural(len(report.buckets_to_create), 'bucket')}: {first}{more}."
    if report.estimate is not None and missing.files:
        yield from estimate_lines(report.estimate)
    yield "Compared by size only; a migration compares contents. Nothing was written."


def _stopped_by(what: str) -> str:
    return "Stopped, as --max-duration asks," if what == MAX_DURATION else f"Stopped by {what}"


def _asks_s3(report: Report) -> bool:
    return report.estimate is None or bool(sum(report.estimate.requests.values()))


def _requests(report: Report, missing: int) -> str:
    if report.estimate is not None:
        return plural(sum(report.estimate.requests.values()), "request") + " to S3"
    pages = report.overall.discovered.files // 1000 + len(report.rows)
    return f"{number(missing + pages + len(report.buckets_to_create))} requests to S3"
