"""docs/architecture.md against the program: the listed way of a small raw file is the one that a real copy takes."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import pytest

import migrator
from migrator.cli.main import main
from tests.dialects.memory import Memory
from tests.dialects.s3 import ACCESS_KEY, SECRET_KEY, S3Server

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"
PACKAGE = Path(migrator.__file__).parent
_LINE = re.compile(r"^( *)(~ )?(\S+\.py) +([\w.]+)(?: {2,}.*)?$")
_FILES = 8  # more than the calls that are made once for all
_WORDS = frozenset({"core"})  # the values and names that everything is written in are no step of the way


class Call(NamedTuple):
    """A call of the list: below which one, what, and how it is written there. `above` is None at the margin.

    `is_turns`: it belongs to a turn of the loop, of which there may be fewer than raw files, or more.
    """

    above: CodeType | None
    code: CodeType
    name: str
    is_turns: bool


class Trace(NamedTuple):
    """What ran below the list's outermost calls: how often below each of its callers, in the order of the first, and how often by each."""

    below: Counter[tuple[CodeType | None, CodeType]]
    by: Counter[tuple[CodeType, CodeType]]


def listed() -> list[Call]:
    """The list's calls, resolved by import: a name that is gone is an error."""
    text = PAGE.read_text().split("## The way of a small raw file", 1)[1]
    block = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    found: list[Call] = []
    open_: list[tuple[int, CodeType]] = []
    for line in block[1].splitlines():
        match = _LINE.match(line)
        assert match is not None, line
        indent, path, name = len(match[1]), match[3], match[4]
        code = code_of(path, name)
        open_ = [one for one in open_ if one[0] < indent]
        found.append(Call(open_[-1][1] if open_ else None, code, f"{path} {name}", match[2] is not None))
        open_.append((indent, code))
    return found


def code_of(path: str, name: str) -> CodeType:
    value = importlib.import_module(f"migrator.{path.removesuffix('.py').replace('/', '.')}")
    for part in name.split("."):
        value = inspect.getattr_static(value, part)
    if isinstance(value, property):
        value = value.fget
    code: CodeType = inspect.unwrap(value).__code__  # type: ignore[arg-type]
    assert code.co_filename == str(PACKAGE / path), f"{name} is not of {path}"
    return code


@contextlib.contextmanager
def traced(roots: frozenset[CodeType]) -> Iterator[Trace]:
    """Note the program's calls within the block, in all threads that begin there."""
    trace = Trace(Counter(), Counter())

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not is_ours(frame.f_code):
            return
        code, above = frame.f_code, list(callers_of(frame))
        if code not in roots and not roots.intersection(above):
            return
        trace.below.update((one, code) for one in dict.fromkeys((None, *above)))
        trace.by[above[0] if above else code, code] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(f"{PACKAGE}/") and not code.co_name.startswith("<")


def callers_of(frame: FrameType) -> Iterator[CodeType]:
    """The program's functions that wait for this one, the nearest first."""
    above = frame.f_back
    while above is not None:
        if is_ours(above.f_code):
            yield above.f_code
        above = above.f_back


def folder_of(code: CodeType) -> str:
    parts = Path(code.co_filename).relative_to(PACKAGE).parts
    return "/".join(parts[: 2 if parts[0] == "stores" else 1])


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trace:
    """The trace of a migration of some raw files."""
    for one in range(_FILES):
        path = tmp_path / "data" / "org" / f"{one:03x}" / f"{one:03x}00000-0000-4000-8000-{one:012x}"
        path.parent.mkdir(parents=True)
        path.write_bytes(f"raw file {one}".encode() * 100)
    roots = frozenset(call.code for call in listed() if call.above is None)
    with S3Server(Memory(), lambda request, serve: serve(request)).running() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        ends = ["--from", str(tmp_path / "data"), "--to", "s3", "--bucket", "raws", "--single-bucket"]
        how = ["--engine", "local", "--yes", "--json", "--no-progress", "--state-dir", str(tmp_path / "state")]
        with traced(roots) as found, pytest.raises(SystemExit) as ended:
            main(["migrate", *ends, *how])
    assert ended.value.code == 0, capsys.readouterr().out
    return found


def test_the_listed_way_of_a_small_raw_file_is_the_one_that_it_takes(copied: Trace) -> None:
    calls, order = listed(), list(copied.below)
    for call in calls:
        assert copied.below[call.above, call.code] >= (1 if call.is_turns else _FILES), (
            f"{call.name} is not called there"
        )
    for above in {call.above for call in calls}:
        beside = [call for call in calls if call.above is above and not call.is_turns]
        assert sorted(beside, key=lambda call: order.index((call.above, call.code))) == beside, "another order"
    known = {call.code for call in calls}
    left_out = {
        f"{folder_of(caller)}: {caller.co_name} -> {folder_of(code)}: {code.co_name}"
        for (caller, code), count in copied.by.items()
        if count >= _FILES and folder_of(caller) != folder_of(code)
        if folder_of(code) not in _WORDS and code not in known
    }
    assert left_out == set()
