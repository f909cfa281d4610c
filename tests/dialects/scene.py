"""Runs one row: files at the source, a server that speaks the dialect, the program in this process, and what came of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from migrator.cli.main import main
from tests.dialects.memory import Memory
from tests.dialects.rows import Change, Row, Way
from tests.dialects.s3 import ACCESS_KEY, SECRET_KEY, Dialect, S3Server, Serve
from tests.dialects.wire import Answer, Request

SOURCE_BUCKET, TARGET_BUCKET = "old", "new"
PART_SIZE = 8 << 20
LARGE = 2 * PART_SIZE + (1 << 20)
_SIZES = (0, 7, 3000)


@cache
def files_of(*, parts: bool) -> dict[str, bytes]:
    """Contents by id: three small ones, and one of 17 MiB that goes in three parts."""
    generator = random.Random(20)
    sizes = (*_SIZES, LARGE) if parts else _SIZES
    found = {}
    for size in sizes:
        digits = f"{generator.getrandbits(128):032x}"
        raw_id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
        found[raw_id] = generator.randbytes(size)
    return found


def dialect_of(changes: tuple[Change, ...]) -> Dialect:
    """The dialect of these changes; the first that is meant by a request answers it."""
    met: Counter[tuple[int, str]] = Counter()
    lock = threading.Lock()

    def answer(request: Request, serve: Serve) -> Answer:
        for number, change in enumerate(changes):
            is_meant = change.calls == "*" or request.operation in change.calls.split()
            if not (is_meant and change.when(request)):
                continue
            place = (number, request.key if change.each_key else "")
            with lock:
                met[place] += 1
                is_over = change.times and met[place] > change.times
            if is_over:
                continue
            answered = change.answer if isinstance(change.answer, Answer) else change.answer(request, serve)
            if answered is not None:
                return answered
        return serve(request)

    return answer


@dataclass(frozen=True)
class Ended:
    """How a run ended. `document` is what it wrote to stdout as JSON, None where it wrote none."""

    status: int
    document: Any
    said: str

    def names(self) -> set[str]:
        """The names of all errors, findings and problems that were told."""
        return set(_names_in(self.document))

    def outcomes(self) -> dict[str, int]:
        """Number of files by outcome, without those of which there are none, and without how many there were at all."""
        totals = (self.document or {}).get("totals", {})
        counts = {
            name: count["files"] for name, count in totals.items() if isinstance(count, dict) and "files" in count
        }
        return {name: number for name, number in counts.items() if number and name != "discovered"}

    def __str__(self) -> str:
        return f"exit status {self.status}\n{self.said[-6000:]}"


def _names_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in ("name", "code") and isinstance(inner, str):
                yield inner
            yield from _names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner)


def run(*words: str) -> Ended:
    """Run the program in this process, with what the environment says."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(words))
        except SystemExit as ended:
            status = int(ended.code or 0)
    try:
        document = json.loads(out.getvalue())
    except ValueError:
        document = None
    said = json.dumps(document, ensure_ascii=False) if document is not None else out.getvalue()
    return Ended(status, document, said + err.getvalue())


def environment_of(server: S3Server) -> dict[str, str | None]:
    """What an operator would set for Bytes."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


class Scene:
    """One row, one way. `folder` is the test's own; `files` are contents by ``organization/id``."""

    def __init__(self, row: Row, way: Way, folder: Path) -> None:
        one = files_of(parts=row.parts)
        self.files = {f"{name}/{raw_id}": content for name in row.organizations for raw_id, content in one.items()}
        self.memory = Memory()
        self._row, self._way = row, way
        self._data = folder / "data"
        self._fill()

    def play(self, set_variable: Callable[[str, str | None], None]) -> Ended:
        """Run the row's command against its server."""
        row = self._row
        with S3Server(self.memory, dialect_of(row.changes)).running() as server:
            for name, value in {**environment_of(server), **row.environment}.items():
                set_variable(name, value.replace("{url}", server.url) if value is not None else None)
            return run(*self._words())

    def state_of_target(self) -> dict[str, bytes]:
        """Contents at the target by ``organization/id``."""
        if self._way == "down":
            paths = (path for path in self._data.rglob("*") if path.is_file())
            return {f"{path.relative_to(self._data).parts[0]}/{path.name}": path.read_bytes() for path in paths}
        found = {}
        for bucket, objects in self.memory.buckets.items():
            if bucket.startswith(TARGET_BUCKET):
                prefix = f"{bucket.removeprefix(f'{TARGET_BUCKET}-')}/" if self._row.per_organization else ""
                found.update({f"{prefix}{key}": stored.content for key, stored in objects.items()})
        return found

    def _words(self) -> list[str]:
        row = self._row
        ends = "s3://{}-{{organization}}" if row.per_organization else "s3://{}/{{organization}}"
        disk, old, new = str(self._data), ends.format(SOURCE_BUCKET), ends.format(TARGET_BUCKET)
        source, target = {"up": (disk, new), "down": (old, disk), "across": (old, new)}[self._way]
        words = [row.command, "--from", source, "--to", target, "--json", *row.options]
        if row.command in ("migrate", "watch"):
            words += ["--yes", "--engine", "local"]
        return words

    def _fill(self) -> None:
        for name, content in self.files.items():
            if self._way == "up":
                organization, raw_id = name.split("/")
                path = self._data / organization / raw_id[:3] / raw_id
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                os.utime(path, (1_700_000_000, 1_700_000_000))
            else:
                self.memory.put(*self._at(SOURCE_BUCKET, name), content, PART_SIZE if len(content) == LARGE else 0)
        if self._way == "down":
            return
        if self._row.bucket_exists:
            for name in self.files:
                self.memory.buckets.setdefault(self._at(TARGET_BUCKET, name)[0], {})
        for number in self._row.there:
            name = list(self.files)[number]
            self.memory.put(*self._at(TARGET_BUCKET, name), self.files[name])

    def _at(self, bucket: str, name: str) -> tuple[str, str]:
        """Bucket and key of a file."""
        organization, raw_id = name.split("/")
        return (f"{bucket}-{organization}", raw_id) if self._row.per_organization else (bucket, name)
