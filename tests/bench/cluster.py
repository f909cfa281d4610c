"""What a Dask cluster costs and brings, beside `scripts/bench`: ``python -m tests.bench.cluster [scaling] [overhead] [coordinator]``.

`scaling`: four workers at 16 jobs against one, before a null sink 20 ms away. `overhead`: Dask on this machine against processes, small
files. `coordinator`: memory and ledger of one that is told of ten million raw files. All on this machine; ratios count, and CPU times.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from migrator.app.run_memory import Record
from migrator.core.cancellation import StopFlag
from migrator.core.entities import FinishedFolder, Shard
from migrator.core.outcomes import Outcome
from migrator.ledger.ledger import Ledger
from migrator.sync.coordinator import Coordinator
from migrator.sync.messages import Event, ProgressEvent, Survey, Surveyed, Unit, UnitEnded, UploadBegan
from migrator.sync.totals import Totals
from tests.bench import native
from tests.bench.corpora import Corpora
from tests.bench.measure import run
from tests.bench.servers import ACCESS_KEY, SECRET_KEY, Server, delayed, null_sink
from tests.dask_cluster import cluster

ROUNDS = 3
KEYS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "BYTES_MIGRATOR_FORCE": "bytes-calls",  # the sink knows no bucket that exists already
}


class Bench:
    def __init__(self, scratch: Path, programs: native.Native, corpora: Corpora) -> None:
        self._scratch = scratch
        self._programs = programs
        self._corpora = corpora
        self._runs = 0

    def migrate(self, server: Server, folder: Path, *words: str) -> tuple[float, float]:
        """One migration from start to exit: seconds, and CPU seconds of it and its children."""
        self._runs += 1
        to = ("--to", f"s3://bench-{self._runs}/{{organization}}", "--endpoint-url", server.url)
        state = ("--state-dir", str(self._scratch / f"state-{self._runs}"))
        argv = [sys.executable, "-m", "migrator", "migrate", "--yes", "--json", "--no-progress", "--from", str(folder)]
        used = run(self._programs.run, [*argv, *to, *state, *words], {**os.environ, **KEYS}, self._scratch)
        if used.status != 0:
            raise SystemExit(f"exit status {used.status}: {used.errors}{used.output[:2000]}")
        return used.wall, used.cpu

    def scaling(self, files: int) -> None:
        corpus, few = self._corpora.small(files), self._corpora.small(20)
        with null_sink(self._programs) as sink, delayed(self._programs, sink, 20) as far:
            rates: dict[int, list[float]] = {1: [], 4: []}
            for turn in range(ROUNDS):
                for workers in (1, 4) if turn % 2 else (4, 1):
                    with cluster(self._scratch / f"cluster-{turn}-{workers}", KEYS, workers=workers) as members:
                        words = ("--scheduler", members.address, "--jobs", "16")
                        start, _ = self.migrate(far, few.folder, *words)
                        seconds, _ = self.migrate(far, corpus.folder, *words)
                        used = members.cpu_seconds()
                    rates[workers].append(files / (seconds - start))
                    say(f"{workers} workers: {seconds:.1f} s, start and end {start:.1f} s, workers' CPU {used:.1f} s")
        ratios = [four / one for one, four in zip(rates[1], rates[4], strict=True)]
        one, four = statistics.median(rates[1]), statistics.median(rates[4])
        say(f"scaling: {one:,.0f} and {four:,.0f} files/s, ratio {statistics.median(ratios):.2f} (goal 3.5)")

    def overhead(self, files: int) -> None:
        corpus = self._corpora.small(files)
        found: dict[str, list[tuple[float, float]]] = {"processes": [], "dask": []}
        with null_sink(self._programs) as sink:
            for turn in range(ROUNDS):
                for engine in ("processes", "dask") if turn % 2 else ("dask", "processes"):
                    used = self.migrate(sink, corpus.folder, "--engine", engine)
                    found[engine].append(used)
                    say(f"{engine}: {used[0]:.1f} s, CPU {used[1]:.1f} s")
        for number, what in enumerate(("time", "CPU")):
            ratios = [dask[number] / own[number] for dask, own in zip(found["dask"], found["processes"], strict=True)]
            say(
                f"overhead of Dask at {files} files, {what}: {(statistics.median(ratios) - 1) * 100:+.1f} % (goal < 10 %)"
            )


# --- the coordinator alone -------------------------------------------------------------------------------------------


class Pretended:
    """An engine whose workers answer at once, for raw files that do not exist."""

    capacity = 400

    def __init__(self, files_a_shard: int) -> None:
        self._files = files_a_shard
        self._events: deque[Event] = deque()

    def submit(self, unit: Unit) -> None:
        if isinstance(unit, Survey):
            self._events.append(Surveyed(organization=unit.organization, length=3, target_is_empty=False))
        else:
            self._events.append(self._told(unit.shard))
        self._events.append(UnitEnded())

    def next_event(self, timeout: float) -> Event | None:
        return self._events.popleft() if self._events else None

    def acknowledge(self, event: UploadBegan) -> None:
        raise AssertionError("there are no uploads here")

    def _told(self, shard: Shard) -> ProgressEvent:
        told = ProgressEvent(organization=shard.organization)
        told.tally[Outcome.COPIED].files += self._files
        told.tally[Outcome.COPIED].bytes += self._files * 13_000
        digest = f"{int(shard.prefix, 16):08}"
        told.finished.append(
            FinishedFolder(
                organization=shard.organization,
                prefix=shard.prefix,
                newest_ns=time.time_ns(),
                source=digest,
                target=digest,
                is_own=True,
                files=self._files,
                bytes=self._files * 13_000,
            )
        )
        return told


def coordinator(files: int, organizations: int) -> None:
    """Told of so many raw files, every index folder of every organization is written to the ledger."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "000000000000-forth.sqlite3"
        totals = Totals()
        began = time.process_time()
        with Ledger.open(path, source_identity="disk", target_identity="s3", now=time.time()) as ledger:
            record = Record(ledger, "run", totals)
            ledger.begin_run("run", "migrate", "from", "to", settings_fingerprint="x", started_at=time.time())
            made = Coordinator(
                engine=Pretended(files // organizations // 4096),
                memory=record,
                observers=[],
                totals=totals,
                stopping=StopFlag(),
            )
            made.run([f"organization-{number:03}" for number in range(organizations)])
            record.end(0)
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        copied = totals.overall()[Outcome.COPIED].files
        say(
            f"coordinator: {copied:,} files in {organizations} organizations: peak {peak / 1e6:.0f} MB (goal 300), "
            f"ledger {size / 1e6:.1f} MB (goal 50), CPU {time.process_time() - began:.0f} s"
        )


def say(words: str) -> None:
    print(words, flush=True)


def main(words: list[str]) -> None:
    wanted = words or ["scaling", "overhead", "coordinator"]
    if "coordinator" in wanted:
        for organizations in (1, 10, 100):
            subprocess.run(
                [sys.executable, "-m", "tests.bench.cluster", "coordinator-of", str(organizations)], check=True
            )
    if wanted[0] == "coordinator-of":
        coordinator(10_000_000, int(wanted[1]))
    if {"scaling", "overhead"} & set(wanted):
        kept = Path(tempfile.gettempdir()) / "bytes-migrator-bench"
        kept.mkdir(exist_ok=True)
        programs, corpora = native.build(kept / "native"), Corpora(kept, say)
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(Path(scratch), programs, corpora)
            if "scaling" in wanted:
                bench.scaling(30_000)
            if "overhead" in wanted:
                bench.overhead(100_000)


if __name__ == "__main__":
    main(sys.argv[1:])
