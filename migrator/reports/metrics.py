"""A run as Prometheus metrics, in a file for node_exporter's textfile collector. The home of prometheus_client."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from migrator.core.errors import CannotStart
from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally
from migrator.reports.formatting import shown
from migrator.reports.report import Report
from migrator.switch.journal import Story
from migrator.sync.messages import ProgressEvent

WRITTEN_EVERY_SECONDS = 10.0
PREFIX = "bytes_migrator"
_SUCCESS = f"{PREFIX}_last_success_timestamp_seconds"
_ALWAYS = (Outcome.COPIED, Outcome.PRESENT, Outcome.FAILED)
_log = logging.getLogger("migrator")


class MetricsFile(Collector):
    """An observer that writes the file when it begins, every 10 seconds, and at the end. It never ends a run."""

    def __init__(self, path: Path, command: str) -> None:
        """Write the file once, so that a wrong path shows at once.

        Raises:
            CannotStart: If it cannot be written.
        """  # noqa: DOC501 made by _unwritable
        self._path = path
        self._command = command
        self._tallies: dict[str, Tally] = {}
        self._above = Tally()
        self._errors: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._began = time.time()
        self._written_at = time.monotonic()
        self._ended: tuple[float, int] | None = None
        self._run = ""
        self._last = (0, 0)
        self._rate = (0.0, 0.0)
        self._last_success = _last_success_in(path)
        self._trouble = ""
        try:
            write_to_textfile(str(path), self._registry)
        except OSError as error:
            raise _unwritable(path, error) from error

    def on_event(self, event: ProgressEvent) -> None:
        """Add counts and errors of an organization."""
        tally = self._tallies.setdefault(event.organization, Tally()) if event.organization else self._above
        tally.merge(event.tally)
        self._errors.update(problem.code or problem.kind for problem in event.problems if problem.kind in _ERRORS)

    def tick(self) -> None:
        """Write the file anew if the last time was long enough ago."""
        now = time.monotonic()
        if now - self._written_at >= WRITTEN_EVERY_SECONDS:
            self._measure(now)
            self._write()

    def end(self, exit_status: int, report: Report | None) -> str:
        """Write the last state, which stays until the next run. Of a run that never began, only that it failed.

        Returns what keeps the file from being written, "" where it was.
        """
        now = time.time()
        self._ended = (now, exit_status)
        if report is not None:
            self._run = report.run
            self._tallies = {row.organization: row.tally for row in report.rows}
            self._above = report.totals.above
            moved = [sum(count) for count in zip(*(_moved(row.tally) for row in report.rows), strict=True)] or [0, 0]
            seconds = max(report.seconds, 1e-3)
            self._rate = (moved[0] / seconds, moved[1] / seconds)
        if exit_status == 0:
            self._last_success = now
        self._write()
        return f"The metrics file {self._path} could not be written ({self._trouble})." if self._trouble else ""

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        yield from self._outcomes()
        yield _gauge(
            "files_per_second",
            "Raw files looked at a second, of late; at the end, copied over the whole run.",
            self._rate[0],
        )
        yield _gauge("bytes_per_second", "Bytes of these.", self._rate[1])
        for kind, words in _OF_OWNERS.items():
            counts = [tally.beside[kind].files for tally in (*self._tallies.values(), self._above)]
            yield _gauge(kind, words, sum(counts))
        errors = GaugeMetricFamily(
            f"{PREFIX}_errors", "Raw files that failed or conflict, by class of error.", labels=["class"]
        )
        for kind, count in sorted(self._errors.items()):
            errors.add_metric([kind], count)
        yield errors
        yield _gauge("running", "1 while the run is under way.", int(self._ended is None))
        yield _gauge("start_time_seconds", "When the run began, since the epoch.", self._began)
        if self._ended is not None:
            yield _gauge("end_time_seconds", "When the run ended, since the epoch.", self._ended[0])
            yield _gauge("exit_status", "The exit status of the run.", self._ended[1])
        if self._last_success is not None:
            yield _gauge(
                "last_success_timestamp_seconds",
                "When a run last ended with exit status 0, since the epoch.",
                self._last_success,
            )
        info = GaugeMetricFamily(f"{PREFIX}_run_info", "Which run this is.", labels=["command", "run"])
        info.add_metric([self._command, self._run], 1)
        yield info

    def _outcomes(self) -> Iterator[Metric]:
        for unit in ("files", "bytes"):
            what = "Raw files" if unit == "files" else "Bytes of raw files"
            family = GaugeMetricFamily(
                f"{PREFIX}_{unit}", f"{what} by organization and outcome.", labels=["organization", "outcome"]
            )
            for organization, tally in sorted(self._tallies.items()):
                name = shown(organization)
                for outcome, count in tally.outcomes.items():
                    if count.files or outcome in _ALWAYS:
                        family.add_metric([name, outcome.value], getattr(count, unit))
            yield family

    def _measure(self, now: float) -> None:
        done = [tally.discovered for tally in self._tallies.values()]
        files, size = sum(count.files for count in done), sum(count.bytes for count in done)
        seconds = now - self._written_at
        self._rate = ((files - self._last[0]) / seconds, (size - self._last[1]) / seconds)
        self._last = (files, size)

    def _write(self) -> None:
        self._written_at = time.monotonic()
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as error:
            self._trouble = error.strerror or type(error).__name__
            _log.warning("the metrics file cannot be written: %s", self._trouble)
        else:
            self._trouble = ""


def write_switch_metrics(path: Path, story: Story) -> None:
    """Write the steps of a switch with their times as a metrics file.

    Raises:
        CannotStart: If it cannot be written.
    """  # noqa: DOC501 made by _unwritable
    registry = CollectorRegistry()
    registry.register(_SwitchMetrics(story))
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise _unwritable(path, error) from error


class _SwitchMetrics(Collector):
    def __init__(self, story: Story) -> None:
        self._story = story

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        story = self._story
        began = GaugeMetricFamily(
            f"{PREFIX}_switch_step_start_time_seconds",
            "When a step of the switch began, since the epoch.",
            labels=["step"],
        )
        took = GaugeMetricFamily(
            f"{PREFIX}_switch_step_seconds", "How long a step of the switch took that came to its end.", labels=["step"]
        )
        for one in {one.step: one for one in story.steps}.values():  # a step that was begun again counts once
            began.add_metric([one.step.value], one.began)
            if one.ended is not None:
                took.add_metric([one.step.value], one.ended - one.began)
        yield began
        yield took
        if story.downtime_seconds is not None:
            yield _gauge("switch_downtime_seconds", "How long Bytes was stopped.", story.downtime_seconds)
        if story.ended_at is not None:
            yield _gauge("switch_end_time_seconds", "When the switch ended, since the epoch.", story.ended_at)
        info = GaugeMetricFamily(
            f"{PREFIX}_switch_info", "Which switch this is, and how it ended.", labels=["run", "end"]
        )
        info.add_metric([story.plan.run, story.end.value if story.end else "open"], 1)
        yield info


def _unwritable(path: Path, error: OSError) -> CannotStart:
    return CannotStart(
        "metrics-file",
        f"The metrics file {path} cannot be written ({error.strerror}).",
        cure="Name another with --metrics-file.",
    )


_OF_OWNERS = {
    "closed": "Raw files and folders at a target on disk that Bytes' user cannot use.",
    "owner_corrected": "Raw files and folders at a target on disk whose owner or mode was set right for Bytes' user.",
}
_ERRORS = frozenset({Outcome.FAILED.value, Outcome.CONFLICT.value, Outcome.REFUSED.value})


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)


def _moved(tally: Tally) -> tuple[int, int]:
    counts = (tally[Outcome.COPIED], tally[Outcome.MISSING])
    return sum(count.files for count in counts), sum(count.bytes for count in counts)


def _last_success_in(path: Path) -> float | None:
    """What the file of an earlier run says; a file that is no such thing says nothing."""
    try:
        for family in text_string_to_metric_families(path.read_text()):
            for sample in family.samples:
                if sample.name == _SUCCESS:
                    return float(sample.value)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return None
