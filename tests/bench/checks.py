"""What is measured beside copying from and to disk: from bucket to bucket, verifications, and deletions after a proof."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.bench import tools
from tests.bench.corpora import Corpus
from tests.bench.measure import Used
from tests.bench.servers import Server, null_sink
from tests.bench.tools import OURS, Ends, Rclone, Tool
from tests.bench.turns import Attempt, Section
from tests.bench.works import SMALL_BUCKET, Bench


def across(bench: Bench) -> list[Section]:
    corpus = bench.corpora.small(bench.sizes.checked)
    with bench.seaweedfs() as server:
        bench.fill(server, SMALL_BUCKET, corpus)
        attempts = {tool.label: partial(_copy, bench, tool, server, server, corpus) for tool in _peers(bench)}
        attempts[tools.COPY_LOOP] = partial(_loop, bench, server, corpus, copies=True)
        rows = bench.turns.take(attempts)
    note = f"{_about(corpus)} One server, which copies by itself for all but juicefs."
    return [Section("across", "Bucket to bucket, one SeaweedFS", note, rows), *_across_null(bench)]


def _across_null(bench: Bench) -> list[Section]:
    """The same where the server costs next to nothing, so that the clients are what is measured."""
    corpus = bench.corpora.small(bench.sizes.small)
    with null_sink(bench.native, {SMALL_BUCKET: corpus.folder}) as server:
        attempts = {tool.label: partial(_copy, bench, tool, server, server, corpus) for tool in _peers(bench)}
        rows = bench.turns.take(attempts, server.sink)
    note = f"{corpus.files:,} files. The sink copies names and digests for all but juicefs."
    return [Section("across-null", "Bucket to bucket, null sink", note, rows)]


def two_servers(bench: Bench) -> list[Section]:
    corpus = bench.corpora.small(bench.sizes.checked)
    with bench.seaweedfs() as server, bench.seaweedfs() as other:
        bench.fill(server, SMALL_BUCKET, corpus)
        peers = [tool for tool in _peers(bench) if tool.name != "s5cmd"]
        attempts = {tool.label: partial(_copy, bench, tool, server, other, corpus) for tool in peers}
        rows = bench.turns.take(attempts)
    note = f"{_about(corpus)} Contents pass through the client. s5cmd knows one server only."
    return [Section("two-servers", "Bucket to bucket, two SeaweedFS", note, rows)]


def verify(bench: Bench) -> list[Section]:
    corpus = bench.corpora.small(bench.sizes.checked)
    with bench.seaweedfs() as server:
        bench.fill(server, SMALL_BUCKET, corpus)
        _fill_other(bench, server, corpus)
        attempts: dict[str, Callable[[], Attempt]] = {
            f"{OURS} --level content": partial(_verify, bench, server, corpus, "content"),
            f"{OURS} --level content, S3 to S3": partial(_verify, bench, server, corpus, "content", other="other"),
            f"{OURS} migrate to disk": partial(
                bench.download_by, tools.ours(bench.program), server, SMALL_BUCKET, corpus
            ),
            "rclone check --download": partial(_check, bench, server, corpus, "--download", "--checkers", "32"),
            "loop (signed GETs, nothing checked)": partial(_loop, bench, server, corpus),
        }
        rows = bench.turns.take(attempts)
    return [Section("verify", "Verification by content, SeaweedFS", _about(corpus), rows), *_verify_etag(bench)]


def _verify_etag(bench: Bench) -> list[Section]:
    """Of more files, and against a server that costs next to nothing: over some thousand files the start would be measured."""
    corpus = bench.corpora.small(bench.sizes.small)
    with null_sink(bench.native, {SMALL_BUCKET: corpus.folder}) as server:
        attempts: dict[str, Callable[[], Attempt]] = {
            f"{OURS} --level etag": partial(_verify, bench, server, corpus, "etag"),
            "rclone check": partial(_check, bench, server, corpus, "--checkers", "32"),
        }
        rows = bench.turns.take(attempts, server.sink)
    return [Section("verify-etag", "Verification by ETag, null sink", _about(corpus), rows)]


def prune(bench: Bench) -> list[Section]:
    corpus = bench.corpora.small(bench.sizes.checked)
    with bench.seaweedfs() as server:
        bench.fill(server, SMALL_BUCKET, corpus)
        _fill_other(bench, server, corpus)
        attempts: dict[str, Callable[[], Attempt]] = {
            f"{OURS} prune, disk": partial(_prune_disk, bench, server, corpus),
            f"{OURS} prune, S3": partial(_prune_bucket, bench, server, corpus),
            f"{OURS} verify --level content": partial(_verify, bench, server, corpus, "content"),
            f"{OURS} verify --level content, S3": partial(_verify, bench, server, corpus, "content", other="other"),
        }
        rows = bench.turns.take(attempts)
    note = (
        f"{_about(corpus)} Everything is proven twice, and then deleted; beside it one proof of everything. A source on S3 takes four "
        "requests a file, for each end is read twice, and one listing of a batch right before it goes. A verification there takes two."
    )
    return [Section("prune", "Deletion after a proof, SeaweedFS", note, rows)]


def _fill_other(bench: Bench, server: Server, corpus: Corpus) -> None:
    """Put the same raw files in a bucket "other"."""
    ours = tools.ours(bench.program)
    bench.make_bucket(server, "other")
    bench.untimed(ours, server, ours.upload(server, corpus.folder, "other", bench.fresh("state")))


def _loop(bench: Bench, server: Server, corpus: Corpus, *, copies: bool = False) -> Attempt:
    tool, new = tools.ours(bench.program), []
    if copies:
        new = [f"run-{next(bench.numbers)}"]
        bench.make_bucket(server, *new)
    words = [server.url, tool.bucket(SMALL_BUCKET), str(corpus.folder), *new]
    argv = [sys.executable, "-m", "tests.bench.request_loop", *words]
    here = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return Attempt(argv, here, corpus.files, corpus.bytes, partial(_has_answered, corpus.files))


def _has_answered(files: int, used: Used) -> str:
    count = int(used.output)
    return "" if count == files else f"{count} requests were answered where {files} were expected"


def _peers(bench: Bench) -> Iterable[Tool]:
    peers = tools.peers_for_small_files(bench.peers, every_setting=False)
    return [tools.ours(bench.program), *(tool for tool in peers if not tool.is_slow)]


def _about(corpus: Corpus) -> str:
    return f"{corpus.files:,} files, {corpus.bytes / 1e6:,.0f} MB. The server shares the cores."


def _copy(bench: Bench, tool: Tool, server: Server, other: Server, corpus: Corpus) -> Attempt:
    bucket = f"run-{next(bench.numbers)}"
    bench.make_bucket(other, bucket)
    ends: Ends = (server, tool.bucket(SMALL_BUCKET), other, bucket)
    argv = tool.across(ends, bench.fresh("state"))
    return Attempt(argv, tool.environment(server), corpus.files, corpus.bytes, bench.has_copied(tool, corpus.files))


def _verify(bench: Bench, server: Server, corpus: Corpus, level: str, other: str = "") -> Attempt:
    tool = tools.ours(bench.program)
    bucket = tool.bucket(SMALL_BUCKET)
    ends = (server, bucket, server, other) if other else None
    argv = tool.verify(ends, server, corpus.folder, bucket, level, bench.fresh("state"))
    check = partial(_has_proven, corpus.files)
    return Attempt(argv, tool.environment(server), corpus.files, corpus.bytes, check)


def _has_proven(files: int, used: Used) -> str:
    count = json.loads(used.output)["totals"]["proven"]["files"]
    return "" if count == files else f"{count} files were proven where {files} were expected"


def _check(bench: Bench, server: Server, corpus: Corpus, *options: str) -> Attempt:
    tool = Rclone("rclone", bench.peers.program("rclone"))
    argv = tool.check(server, corpus.folder, tool.bucket(SMALL_BUCKET), *options)
    return Attempt(argv, tool.environment(server), corpus.files, corpus.bytes)


def _prune_disk(bench: Bench, server: Server, corpus: Corpus) -> Attempt:
    folder = bench.fresh("pruned")
    subprocess.run(["cp", "-al", corpus.folder, folder], check=True)
    return _prune(bench, server, str(folder), corpus, lambda: shutil.rmtree(folder, ignore_errors=True))


def _prune_bucket(bench: Bench, server: Server, corpus: Corpus) -> Attempt:
    tool, bucket = tools.ours(bench.program), f"run-{next(bench.numbers)}"
    bench.make_bucket(server, bucket)
    bench.untimed(tool, server, tool.upload(server, corpus.folder, bucket, bench.fresh("state")))
    return _prune(bench, server, bucket, corpus, lambda: None)


def _prune(bench: Bench, server: Server, source: str, corpus: Corpus, after: Callable[[], None]) -> Attempt:
    tool = tools.ours(bench.program)
    argv = tool.prune(server, source, tool.bucket(SMALL_BUCKET), corpus.files, bench.fresh("state"))
    check = partial(_has_deleted, corpus.files)
    read_by_bytes = {"S3_BUCKET": tool.bucket(SMALL_BUCKET), "BUCKET_PER_ORG": "false"}  # nothing is deleted without
    env = {**tool.environment(server), **read_by_bytes}
    return Attempt(argv, env, corpus.files, corpus.bytes, check, after)


def _has_deleted(files: int, used: Used) -> str:
    count = json.loads(used.output)["totals"]["deleted"]["files"]
    return "" if count == files else f"{count} files were deleted where {files} were expected"


CHECKS: dict[str, Callable[[Bench], list[Section]]] = {
    "across": across,
    "two-servers": two_servers,
    "verify": verify,
    "prune": prune,
}
