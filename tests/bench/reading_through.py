"""Whether every raw file can be read while it is copied, through nginx that reads through: ``python -m tests.bench.reading_through``.

A data folder, SeaweedFS, and nginx before it with the lines of `runbook --read-through`. Readers ask nginx for random raw files without
pause, from before the copying until after it; each content is compared. Prints the counts: served from disk or S3, unreadable, wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from migrator.core.naming import SingleBucket
from migrator.core.read_through_header import FROM_DISK, HEADER
from migrator.doctor.nginx_lines import DataFolder, nginx_lines
from tests import command, corpus, oracle
from tests.nginx import nginx_before
from tests.servers import S3Server, Servers, free_ports

BUCKET = "reading"
READERS = 4


class Readers:
    """Ask for random raw files until told to end."""

    def __init__(self, server: S3Server, contents: dict[str, bytes]) -> None:
        self.counts: Counter[str] = Counter()
        self._server, self._contents, self._keys = server, contents, list(contents)
        self._end, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        generator, client = random.Random(seed), self._server.client(retries={"total_max_attempts": 1})
        while not self._end.is_set():
            key = generator.choice(self._keys)
            try:
                answer = client.get_object(Bucket=BUCKET, Key=key)
                content = answer["Body"].read()
            except Exception as error:
                sys.stderr.write(f"{key}: {error}\n")
                found = "unreadable"
            else:
                headers = answer["ResponseMetadata"]["HTTPHeaders"]
                place = "from disk" if headers.get(HEADER.lower()) == FROM_DISK else "from S3"
                found = place if content == self._contents[key] else "wrong"
            with self._lock:
                self.counts[found] += 1


def main(words: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything was unreadable or wrong. `words` are the command line's, None for those of this process."""
    parser = argparse.ArgumentParser(prog="tests.bench.reading_through")
    parser.add_argument("--files", type=int, default=10_000)
    files: int = parser.parse_args(words).files
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reading-through-")))
        folder.chmod(0o755)
        data = corpus.make_store(folder / "data", total=files, sizes=400).root
        for path in (data, *data.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # nginx' workers are nobody
        contents = {
            f"{name}/{raw_id}": Path(path).read_bytes() for (name, raw_id), path in oracle.disk_paths(data).items()
        }
        (folder / "servers").mkdir()
        server = stack.enter_context(Servers(folder / "servers", os.getpid()).private("weed")).server
        server.client().create_bucket(Bucket=BUCKET)
        listen = f"127.0.0.1:{free_ports(1)[0]}"
        lines = nginx_lines(
            server.endpoint_url, listen=listen, reads=DataFolder(root=data, naming=SingleBucket(BUCKET))
        )
        port = int(listen.rpartition(":")[2])
        proxied = stack.enter_context(nginx_before(server, lines, port, folder / "nginx"))
        env = server.env() | {"S3_BUCKET": BUCKET, "BUCKET_PER_ORG": "false", "XDG_STATE_HOME": str(folder / "state")}
        with Readers(proxied, contents) as readers:
            told = ("migrate", "--from", str(data), "--to", "s3", "--yes", "--force", "bytes-calls", "--json")
            ended = command.run(*told, env=env, timeout=3600, installed=True)
        sys.stdout.write(json.dumps({"files": files, "migrate": ended.status, **readers.counts}) + "\n")
    return 1 if ended.status or readers.counts["unreadable"] or readers.counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
