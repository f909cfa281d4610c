"""What is measured: each work is a method of `Bench` that gives its tables."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import tools
from tests.bench.corpora import GIB, Corpora, Corpus
from tests.bench.measure import Used
from tests.bench.native import Native
from tests.bench.servers import Server, certificate, delayed, null_sink, seaweedfs
from tests.bench.tools import OURS, Peers, Tool
from tests.bench.turns import Attempt, Row, Section, Turns

SMALL_BUCKET = "small"
LATENCY_MS = 20.0


@dataclass(frozen=True)
class Sizes:
    """How much is moved."""

    small: int
    far: int
    far_few: int
    slow: int
    checked: int
    noop: int
    scan: int
    scale: tuple[int, ...]
    large: int
    rounds: int
    every_setting: bool


FULL = Sizes(
    small=20_000,
    far=40_000,
    far_few=8_000,
    slow=2_000,
    checked=6_000,
    noop=100_000,
    scan=1_000_000,
    scale=(10_000, 100_000, 1_000_000),
    large=GIB,
    rounds=3,
    every_setting=True,
)
QUICK = Sizes(
    small=4_000,
    far=4_000,
    far_few=2_000,
    slow=400,
    checked=2_000,
    noop=10_000,
    scan=50_000,
    scale=(2_000, 10_000),
    large=128 << 20,
    rounds=2,
    every_setting=False,
)


@dataclass(frozen=True)
class Bench:
    native: Native
    peers: Peers
    program: str
    sizes: Sizes
    corpora: Corpora
    turns: Turns
    scratch: Path
    say: Callable[[str], None]
    numbers: Iterator[int]

    # --- small files ------------------------------------------------------------------------------------------------

    def upload(self) -> list[Section]:
        with null_sink(self.native) as server:
            rows = self._upload_to(server, self.sizes.small)
        return [Section("upload", "Upload of small files, null sink", self._about(self.sizes.small), rows)]

    def tls(self) -> list[Section]:
        if not self.native.has_tls:
            self.say("  left out: the sink has no TLS without OpenSSL's headers: apt install libssl-dev")
            return []
        with null_sink(self.native, tls=certificate(self.scratch / "tls")) as server:
            rows = self._upload_to(server, self.sizes.small)
        note = f"{self._about(self.sizes.small)} juicefs cannot be told to use TLS with a server that is named by its address."
        return [Section("tls", "Upload of small files over TLS, null sink", note, rows)]

    def latency(self) -> list[Section]:
        with null_sink(self.native) as near, delayed(self.native, near, LATENCY_MS) as server:
            rows = self._upload_to(server, self.sizes.far)
            few = self._upload_to(server, self.sizes.far_few)
        title = f"Upload of small files, null sink {LATENCY_MS:g} ms away"
        short = "The same for few files, where the looks before a run weigh most."
        return [
            Section("latency", title, self._about(self.sizes.far), rows),
            Section("latency-few", f"{title}, few files", f"{self._about(self.sizes.far_few)} {short}", few),
        ]

    def upload_seaweedfs(self) -> list[Section]:
        with self.seaweedfs() as server:
            rows = self._upload_to(server, self.sizes.small)
        note = f"{self._about(self.sizes.small)} The server shares the cores."
        return [Section("upload-seaweedfs", "Upload of small files, SeaweedFS", note, rows)]

    def download(self) -> list[Section]:
        many, few = self.corpora.small(self.sizes.small), self.corpora.small(self.sizes.slow)
        with null_sink(self.native, {SMALL_BUCKET: many.folder, "few": few.folder}) as server:
            rows = self._download_from(server, many, few)
        note = f"{self._about(many.files)} Into a new folder each time. Ours is on the disk when it ends; no peer calls fsync."
        return [Section("download", "Download of small files, null sink", note, rows)]

    def download_seaweedfs(self) -> list[Section]:
        many, few = self.corpora.small(self.sizes.small), self.corpora.small(self.sizes.slow)
        with self.seaweedfs() as server:
            for name, corpus in ((SMALL_BUCKET, many), ("few", few)):
                self.fill(server, name, corpus)
            rows = self._download_from(server, many, few)
        note = f"{self._about(many.files)} Into a new folder each time; the server shares the cores."
        return [Section("download-seaweedfs", "Download of small files, SeaweedFS", note, rows)]

    # --- nothing to do ----------------------------------------------------------------------------------------------

    def noop(self) -> list[Section]:
        corpus = self.corpora.small(self.sizes.noop)
        state = self.fresh("state")
        with null_sink(self.native, {SMALL_BUCKET: corpus.folder}) as server:
            by_size = tools.ours(self.program, "--compare", "size", label=f"{OURS} --compare size")
            by_digest = tools.ours(self.program, label=f"{OURS} by digest")
            with_ledger = tools.ours(self.program, label=f"{OURS} with its ledger")
            self.untimed(with_ledger, server, with_ledger.compare(server, corpus.folder, f"{SMALL_BUCKET}-flat", state))
            attempts = {
                with_ledger.label: partial(self._compare, with_ledger, server, corpus, lambda: state),
                by_size.label: partial(self._compare, by_size, server, corpus, self._new_state),
                by_digest.label: partial(self._compare, by_digest, server, corpus, self._new_state),
                "md5 (a bare loop, no server)": partial(self._loop, "md5", corpus),
            }
            for peer in tools.peers_that_compare(self.peers):
                attempts[peer.label] = partial(self._compare, peer, server, corpus, self._new_state)
            rows = self.turns.take(attempts, server.sink)
        note = f"{self._about(corpus.files)} Everything is at the target already. Peers compare sizes."
        return [Section("noop", "Nothing to do", note, rows)]

    # --- a large file -----------------------------------------------------------------------------------------------

    def large(self) -> list[Section]:
        corpus = self.corpora.large(self.sizes.large)
        with null_sink(self.native, {"large": corpus.folder}) as server:
            sections = self._large(server, corpus, "null sink", "large")
        with self.seaweedfs() as server:
            self.fill(server, "large", corpus)
            return [*sections, *self._large(server, corpus, "SeaweedFS", "large-seaweedfs")]

    def _large(self, server: Server, corpus: Corpus, where: str, name: str) -> list[Section]:
        everybody = [tools.ours(self.program), *tools.peers_for_a_large_file(self.peers)]
        up = {tool.label: partial(self._upload, tool, server, corpus) for tool in everybody}
        down = {tool.label: partial(self.download_by, tool, server, "large", corpus) for tool in everybody}
        down[tools.LARGE_LOOP] = partial(self._large_loop, server, corpus)
        note = f"One file of {corpus.bytes >> 20} MiB. Ours checks the digest of all of it."
        return [
            Section(f"{name}-up", f"Upload of a large file, {where}", note, self.turns.take(up, server.sink)),
            Section(f"{name}-down", f"Download of a large file, {where}", note, self.turns.take(down, server.sink)),
        ]

    # --- many files -------------------------------------------------------------------------------------------------

    def scan(self) -> list[Section]:
        corpus = self.corpora.empty(self.sizes.scan)
        with null_sink(self.native) as server:
            attempts = {
                f"{OURS} plan": partial(self._plan, server, corpus),
                f"{OURS}'s scan": partial(self._scan_alone, corpus),
                "loop (scandir and stat)": partial(self._loop, "scan", corpus),
            }
            rows = self.turns.take(attempts, server.sink)
        note = f"{corpus.files:,} empty files, planned for an empty bucket; beside it the scan alone, and a bare loop of scandir and stat."
        return [Section("scan", "Scan of many files", note, rows)]

    def scale(self) -> list[Section]:
        attempts: dict[str, Callable[[], Attempt]] = {}
        with null_sink(self.native) as server:
            for files in self.sizes.scale:
                corpus = self.corpora.empty(files)
                tool = tools.ours(self.program, label=f"{OURS} {files}")
                attempts[tool.label] = partial(self._upload, tool, server, corpus)
            rows = self.turns.take(attempts, server.sink)
        note = "Empty files to the null sink. The fixed cost of a start weighs more where there are few."
        return [Section("scale", "Cost a file, from few to many", note, rows)]

    # --- attempts ---------------------------------------------------------------------------------------------------

    def _everybody(self, server: Server) -> list[Tool]:
        peers = tools.peers_for_small_files(self.peers, every_setting=self.sizes.every_setting)
        return [tools.ours(self.program), *(peer for peer in peers if peer.can_tls or not server.ca_bundle)]

    def _upload_to(self, server: Server, files: int) -> list[Row]:
        many, few = self.corpora.small(files), self.corpora.small(self.sizes.slow)
        attempts = {
            tool.label: partial(self._upload, tool, server, few if tool.is_slow else many)
            for tool in self._everybody(server)
        }
        return self.turns.take(attempts, server.sink)

    def _download_from(self, server: Server, many: Corpus, few: Corpus) -> list[Row]:
        attempts = {}
        for tool in self._everybody(server):
            name, corpus = ("few", few) if tool.is_slow else (SMALL_BUCKET, many)
            attempts[tool.label] = partial(self.download_by, tool, server, name, corpus)
        return self.turns.take(attempts, server.sink)

    def _upload(self, tool: Tool, server: Server, corpus: Corpus) -> Attempt:
        bucket = f"run-{next(self.numbers)}"
        self.make_bucket(server, bucket)
        argv = tool.upload(server, corpus.folder, bucket, self._new_state())
        return Attempt(
            argv, tool.environment(server), corpus.files, corpus.bytes, partial(_has_copied, tool, corpus.files)
        )

    def download_by(self, tool: Tool, server: Server, name: str, corpus: Corpus) -> Attempt:
        folder = self.fresh("download")
        argv = tool.download(server, tool.bucket(name), folder, self._new_state())

        def check(used: Used) -> str:
            found = sum(len(names) for _, _, names in os.walk(folder))
            return "" if found == corpus.files else f"{found} files came"

        # Small files stay until everything is over: after a delete, ext4 makes new files ten times slower for a while.
        after = partial(shutil.rmtree, folder, ignore_errors=True) if corpus.files == 1 else lambda: None
        return Attempt(argv, tool.environment(server), corpus.files, corpus.bytes, check, after)

    def _compare(self, tool: Tool, server: Server, corpus: Corpus, state: Callable[[], Path]) -> Attempt:
        argv = tool.compare(server, corpus.folder, tool.bucket(SMALL_BUCKET), state())
        return Attempt(argv, tool.environment(server), corpus.files, corpus.bytes, partial(_has_copied, tool, 0))

    def _plan(self, server: Server, corpus: Corpus) -> Attempt:
        bucket = f"run-{next(self.numbers)}"
        self.make_bucket(server, bucket)
        tool = tools.ours(self.program)
        argv = tool.plan(server, corpus.folder, bucket, self._new_state())
        return Attempt(argv, tool.environment(server), corpus.files, 0, partial(_has_copied, tool, corpus.files))

    def _scan_alone(self, corpus: Corpus) -> Attempt:
        here = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        return Attempt(
            [sys.executable, "-m", "tests.bench.ourscan", str(corpus.folder)], here, corpus.files, corpus.bytes
        )

    def _loop(self, name: str, corpus: Corpus) -> Attempt:
        argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name("loops.py")), name, str(corpus.folder)]
        return Attempt(argv, {}, corpus.files, corpus.bytes)

    def _large_loop(self, server: Server, corpus: Corpus) -> Attempt:
        folder, path = self.fresh("download"), next(path for path in corpus.folder.rglob("*") if path.is_file())
        bucket = tools.ours(self.program).bucket("large")
        words = [server.url, bucket, f"{path.parts[-3]}/{path.name}", str(folder)]
        argv = [sys.executable, "-m", "tests.bench.large_loop", *words]
        here = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        after = partial(shutil.rmtree, folder, ignore_errors=True)
        return Attempt(argv, here, corpus.files, corpus.bytes, lambda used: "", after)

    # --- places -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def seaweedfs(self) -> Iterator[Server]:
        with seaweedfs(Path(self.peers.program("weed")), self.fresh("seaweedfs")) as server:
            yield server

    def fill(self, server: Server, name: str, corpus: Corpus) -> None:
        ours, peer = tools.ours(self.program), tools.S5cmd("s5cmd", self.peers.program("s5cmd"))
        for tool in (ours, peer):
            bucket = tool.bucket(name)
            self.make_bucket(server, bucket)
            self.untimed(tool, server, tool.upload(server, corpus.folder, bucket, self._new_state()))
        os.sync()  # what the server wrote is on the disk too: a download that syncs would wait for it

    def make_bucket(self, server: Server, bucket: str) -> None:
        tool = tools.S5cmd("s5cmd", self.peers.program("s5cmd"))
        self.untimed(tool, server, [tool.program, "--endpoint-url", server.url, "mb", f"s3://{bucket}"])

    def untimed(self, tool: Tool, server: Server, argv: Sequence[str]) -> None:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.scratch), **tool.environment(server)}
        subprocess.run(argv, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def has_copied(self, tool: Tool, files: int) -> Callable[[Used], str]:
        """The check of an attempt that copies so many files."""
        return partial(_has_copied, tool, files)

    def _new_state(self) -> Path:
        return self.fresh("state")

    def fresh(self, kind: str) -> Path:
        """A place where nothing has ever been."""
        return self.scratch / f"{kind}-{next(self.numbers)}"

    def _about(self, files: int) -> str:
        size = self.corpora.small(files).bytes
        return f"{files:,} files, {size / 1e6:,.0f} MB."


def _has_copied(tool: Tool, files: int, used: Used) -> str:
    """What this tool says itself; peers are believed, their exit status is looked at anyway."""
    if not isinstance(tool, tools.Ours):
        return ""
    count = tools.copied(used.output)
    return "" if count == files else f"{count} files copied where {files} were expected"


WORKS: dict[str, Callable[[Bench], list[Section]]] = {
    "upload": Bench.upload,
    "download": Bench.download,
    "tls": Bench.tls,
    "latency": Bench.latency,
    "upload-seaweedfs": Bench.upload_seaweedfs,
    "download-seaweedfs": Bench.download_seaweedfs,
    "noop": Bench.noop,
    "large": Bench.large,
    "scan": Bench.scan,
    "scale": Bench.scale,
}


def counting() -> Iterator[int]:
    return itertools.count(1)
