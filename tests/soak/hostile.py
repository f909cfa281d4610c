"""What others may have put in the way: hostile keys, folders that become links, damaged ledgers. Many of each, at random by a seed."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from migrator.core.entities import RawFile, RawId
from migrator.core.errors import StoreError
from migrator.stores.disk.source import DiskSource
from migrator.stores.disk.target import DiskTarget
from tests import command, corpus, oracle
from tests.backends import held
from tests.dialects.memory import Memory
from tests.dialects.s3 import S3Server
from tests.dialects.scene import environment_of
from tests.soak.stage import Stage, hidden

# --- keys ------------------------------------------------------------------------------------------------------------

_RAW_ID = "0123abcd-1111-4222-8333-444455556666"
_PIECES = (
    *("../", "..", "/", "//", "./", "\\", "%2e%2e", "%00", " ", "=cmd|'/c calc'!A1", "~", "$HOME", "`id`", "-rf", "*"),
    *("\x1b[31m", "\x1b]0;title\x07", "\r", "\n", "\t", "\x7f", "\x9b", "\u202e", "\u2028", "\u200b", "\ufeff"),
    *("ALPHA", "ⅷ", "é", "e\u0301", "\U0001f4a5", "con", "nul", "<script>", "&amp;", "]]>", "x" * 200),
)
_STEERS_A_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def keys(seed: int, count: int) -> list[str]:
    """So many different keys that look nearly like those of raw files, and are none; at most 1,024 bytes each."""
    generator = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        key = f"alpha/{_RAW_ID}"
        for _ in range(generator.randint(1, 3)):
            at = generator.randint(0, len(key))
            key = key[:at] + generator.choice(_PIECES) + key[at + generator.choice((0, 0, 0, 1, 4)) :]
        if 0 < len(key.encode()) <= 1024:
            found.add(key)
    return sorted(found)


def keys_gone_wrong(seed: int, count: int, folder: Path) -> list[str]:
    """What is wrong after `plan` and `migrate` met so many hostile keys; they are strays, or raw files in the tree where Bytes looks."""
    memory = Memory()
    for key in keys(seed, count):
        memory.put("old", key, b"content of a hostile key")
    memory.put("old", f"alpha/{_RAW_ID}", b"a raw file")
    root, wrong = folder / "inner" / "fresh", list[str]()
    root.parent.mkdir(parents=True)
    with S3Server(memory).running() as server:
        env = {**hidden(), **environment_of(server), "HOME": str(folder / "home")}
        words = ("--from", "s3://old/{organization}", "--to", str(root))
        for command_words in (("plan",), ("migrate", "--yes"), ("migrate", "--yes", "--json")):
            done = command.run(*command_words, *words, env=env, timeout=900)
            if done.status != 0:
                wrong.append(f"{command_words[0]} ended with {done.status}: {done.stderr[-300:]}")
            wrong += [f"printed raw: {line!r}" for line in _lines_that_steer(done)]
    arrived = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    wrong += [f"not where Bytes looks: {path}" for path in arrived if not _is_where_bytes_looks(path)]
    if len(arrived) != done.json()["totals"]["present"]["files"]:
        wrong.append(f"{len(arrived)} files in the tree, and others were counted")
    wrong += [f"outside: {path}" for path in folder.iterdir() if path.name not in ("inner", "home")]
    wrong += [f"outside: {path}" for path in root.parent.iterdir() if path != root]
    return wrong


def _lines_that_steer(done: command.Completed) -> list[str]:
    return [line for text in (done.stdout, done.stderr) for line in text.split("\n") if _STEERS_A_TERMINAL.search(line)]


def _is_where_bytes_looks(path: Path) -> bool:
    return len(path.parts) == 3 and path.parts[1] == path.name[:3] and bool(re.fullmatch(r"[0-9a-f-]{36}", path.name))


# --- links -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Swapped:
    """`escaped` are paths that came to be outside of the target, `links` is how often there was a link."""

    links: int
    stored: int
    refused: int
    escaped: list[Path]


def stored_while_links_come_and_go(folder: Path, level: str, rounds: int) -> Swapped:
    """Store and publish a raw file in each round, while a folder of the target becomes a link out of the tree, again and again.

    `level` is "organization" or "index folder".
    """
    root, outside, data = folder / "fresh", folder / "outside", folder / "data"
    (outside / "abc").mkdir(parents=True)
    corpus.make_store(data, {"alpha": 0})
    names = [RawId(f"abc{number:05x}-1111-4222-8333-444455556666") for number in range(rounds)]
    for name in names:
        corpus.add_raw_file(data, "alpha", b"content", name)
    (root / "alpha" / "abc").mkdir(parents=True)
    swapped, lure = (root / "alpha", outside) if level == "organization" else (root / "alpha" / "abc", outside / "abc")
    stored = 0
    with (
        held(root, 0o740),
        contextlib.closing(DiskSource(data)) as source,
        _swapping(swapped, lure, root.with_name("aside")) as planted,
    ):
        for name in names:
            stored += _is_stored(source, root, RawFile("alpha", name))
    expected = {outside, outside / "abc"}
    escaped = sorted(Path(os.fsdecode(path)) for path in oracle.tree_snapshot(outside))
    return Swapped(planted["links"], stored, rounds - stored, [path for path in escaped if path not in expected])


_SECONDS_OF_PEACE = 0.02
"""At most so long a folder stays one: about as long as it takes to store a raw file, so that some come through and some do not."""


@contextlib.contextmanager
def _swapping(folder: Path, lure: Path, aside: Path) -> Iterator[Counter[str]]:
    """Again and again, until left: the folder goes aside, a link to `lure` takes its name, and then nothing has it. Counts the links."""
    ended, planted, generator = threading.Event(), Counter[str](), random.Random(len(folder.name))
    aside.mkdir()

    def swap() -> None:
        for number in itertools.count():
            if ended.wait(generator.random() * _SECONDS_OF_PEACE):
                return
            with contextlib.suppress(OSError):
                folder.rename(aside / str(number))
            with contextlib.suppress(OSError):  # the target has made it again meanwhile
                folder.symlink_to(lure)
                planted["links"] += 1
            with contextlib.suppress(OSError):
                folder.unlink()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield planted
    finally:
        ended.set()
        swapper.join()


def _is_stored(source: DiskSource, root: Path, raw_file: RawFile) -> bool:
    target = DiskTarget(root, folder_mode=0o740, file_mode=0o640, run="mine")
    entry = source.stat(raw_file)
    assert entry is not None
    try:
        with source.open(raw_file, entry) as content:
            receipt = target.store(raw_file, content)
        [(_, error)] = target.publish([(raw_file, receipt)])
    except StoreError:
        return False
    finally:
        target.close()
    return error is None


# --- ledgers ---------------------------------------------------------------------------------------------------------


def damaged(content: bytes, generator: random.Random) -> bytes:
    """The same file cut off, zeroed in a place, with flipped bits, with two of its pages exchanged, or with one written twice."""
    page, length = 4096, len(content)
    at = generator.randrange(length)
    how = generator.randrange(5)
    if how == 0:
        return content[:at]
    if how == 1:
        size = min(generator.choice((1, 64, page, 8 * page)), length - at)
        return content[:at] + bytes(size) + content[at + size :]
    changed = bytearray(content)
    if how == 2:
        for _ in range(generator.choice((1, 5, 200))):
            changed[generator.randrange(length)] ^= 1 << generator.randrange(8)
        return bytes(changed)
    one, other = (page * generator.randrange(max(1, length // page)) for _ in range(2))
    first, second = content[one : one + page], content[other : other + page]
    changed[other : other + page] = first
    if how == 3:
        changed[one : one + page] = second
    return bytes(changed)


def ledgers_believed(stage: Stage, seed: int, count: int) -> list[str]:
    """What is wrong after so many runs, each with a ledger that was damaged at random and an object that is gone behind its back."""
    generator, wrong = random.Random(seed), list[str]()
    source, state = stage.folder / "data", stage.folder / "state"
    corpus.make_store(source, {"alpha": 8, "b1": 2}, sizes=500)
    expected = oracle.disk_state(source)
    client, there = stage.behind.client(), "s3://ledgers/{organization}"
    words = ("migrate", "--yes", "--json", "--settle", "0", "--from", str(source), "--to", there)
    command.run(*words, env=stage.env(), timeout=120).expect(0)
    [ledger] = state.glob("*.sqlite3")
    sound = ledger.read_bytes()
    for number in range(count):
        shutil.rmtree(state)
        state.mkdir(mode=0o700)
        ledger.write_bytes(damaged(sound, generator))
        organization, raw_id = generator.choice(sorted(expected))
        client.delete_object(Bucket="ledgers", Key=f"{organization}/{raw_id}")
        done = command.run(*words, env=stage.env(), timeout=120)
        readable = oracle.s3_state(client, oracle.Single("ledgers")).keys()
        if done.status == 0 and readable != expected.keys():
            wrong.append(f"seed {seed}, {number}: said that all is there, and {organization}/{raw_id} is not")
        elif done.status != 0:
            wrong.append(f"seed {seed}, {number}: ended with {done.status}: {done.stderr[-300:]}")
    return wrong
