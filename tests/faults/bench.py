"""A migration with something in its way, and the invariants that an oracle checks afterwards, whatever was in the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.faults import proxy as faults
from tests.faults.proxy import RAW_FILE, Proxy, Rule
from tests.servers import S3Server
from tests.soak import traced

ORGANIZATIONS = {"alpha": 46, "b1": 14}
IN_PARTS_FROM = 8 << 20
"""Bytes of what boto3 uploads in parts."""
FILES = sum(ORGANIZATIONS.values())


@dataclass
class Bench:
    """A data folder and a bucket, reached through `proxy` if there is one, and what must be at both ends.

    `fresh` is where raw files come down to.
    """

    server: S3Server
    naming: oracle.Single
    data: Path
    fresh: Path
    expected: dict[oracle.RawFileName, oracle.OnDisk]
    env: Mapping[str, str]
    client: Any
    _snapshot: dict[bytes, tuple[int, int, int, int]] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        return ends.template(self.naming)

    def key(self, name: oracle.RawFileName) -> str:
        return "/".join(name)

    def words(self, direction: str) -> tuple[Any, ...]:
        """The command line for "up" (disk to S3), "down" or "across" (disk to disk)."""
        source = self.bucket if direction == "down" else self.data
        return (*MIGRATE, "--from", source, "--to", self.bucket if direction == "up" else self.fresh)

    def up(self, *words: str, injected: tuple[str, ...] = (), timeout: float = command.TIMEOUT) -> command.Completed:
        return self.run("up", *words, injected=injected, timeout=timeout)

    def down(self, *words: str, before: tuple[str, ...] = (), timeout: float = command.TIMEOUT) -> command.Completed:
        return self.run("down", *words, before=before, timeout=timeout)

    def run(
        self,
        direction: str,
        *words: str,
        before: tuple[str, ...] = (),
        injected: tuple[str, ...] = (),
        timeout: float = command.TIMEOUT,
    ) -> command.Completed:
        """Run to the end; `injected` are options of a `strace` that is attached before the program's first line runs."""
        if injected:
            everything = tuple(map(str, (*self.words(direction), *words)))
            with traced.started(everything, self.whole_env, *injected) as process:
                return process.finish(timeout)
        return command.run(*self.words(direction), *words, env=self.whole_env, before=before, timeout=timeout)

    def start(self, direction: str, *words: str) -> command.Process:
        return command.start(*self.words(direction), *words, env=self.whole_env)

    @property
    def whole_env(self) -> dict[str, str]:
        return {**self.server.env(), **self.env}

    def fill(self) -> None:
        """What is on disk is in the bucket, without any fault."""
        ends.make_bucket(self.client, self.naming.bucket)
        small = {}
        for name, path in oracle.disk_paths(self.data).items():
            with open(path, "rb") as content:
                if os.path.getsize(path) >= IN_PARTS_FROM:
                    self.client.upload_fileobj(content, self.naming.bucket, self.key(name))
                else:
                    small[name] = content.read()
        ends.put_many(self.client, self.naming, small)

    def assert_all_in_bucket(self) -> None:
        oracle.assert_same_contents(self.expected, oracle.s3_state(self.client, self.naming))

    def assert_all_on_disk(self) -> None:
        oracle.assert_same(self.expected, oracle.disk_state(self.fresh))
        assert ends.everything_below(self.fresh) == ends.raw_file_paths(self.fresh), "something else was left"

    def assert_nothing_wrong_in_bucket(self) -> None:
        """Whatever arrived is what it should be, and nothing else is there."""
        found = oracle.s3_state(self.client, self.naming)
        oracle.assert_same_contents({name: self.expected[name] for name in found}, found)

    def assert_nothing_wrong_on_disk(self) -> None:
        found = oracle.disk_state(self.fresh)
        oracle.assert_same({name: self.expected[name] for name in found}, found)

    def uploads(self) -> list[str]:
        return oracle.uploads(self.client, self.naming.bucket)

    # --- the whole of the invariants

    def after(self, direction: str, done: command.Completed) -> dict[str, Any]:
        """I1 to I3 and I5 after any run: nothing wrong anywhere, nothing called done that is not, and not 0 with anything unproven.

        Gives the JSON document.
        """
        document: dict[str, Any] = done.json()
        self._assert_whole(direction)
        if "error" in document:
            assert done.status in (2, 3, 4), done
            assert document["error"]["cure"], f"nothing says what to do now\n{done}"
            return document
        oracle.assert_adds_up(document)
        files = ends.files(document)
        arrived = files.get("copied", 0) + files.get("present", 0)
        assert len(self._found(direction)) >= arrived, f"more was called done than is there\n{done}"
        unproven = {name: files[name] for name in ("conflict", "failed", "refused", "pending") if files.get(name)}
        assert bool(unproven) <= (done.status != 0), f"exit status 0 with {unproven}\n{done}"
        named = [problem for problem in document["problems"] if problem["kind"] in ("conflict", "failed", "refused")]
        assert len(named) == sum(count for name, count in unproven.items() if name != "pending"), done
        return document

    def converges(self, direction: str, *words: str) -> dict[str, Any]:
        """I4 and I6: the same command again, undisturbed, ends with everything there and nothing left behind."""
        document: dict[str, Any] = self.run(direction, *words).expect(0).json()
        oracle.assert_adds_up(document)
        self._assert_whole(direction)
        if direction == "up":
            self.assert_all_in_bucket()
            assert self.uploads() == []
        else:
            self.assert_all_on_disk()
        return document

    def _found(self, direction: str) -> Mapping[oracle.RawFileName, Any]:
        if direction == "up":
            return oracle.s3_listing(self.client, self.naming)
        return oracle.disk_paths(self.fresh)

    def _assert_whole(self, direction: str) -> None:
        oracle.assert_same(self.expected, oracle.disk_state(self.data))
        if direction == "up":
            self.assert_nothing_wrong_in_bucket()
        else:
            self.assert_nothing_wrong_on_disk()


@dataclass
class ProxyBench(Bench):
    """As `Bench`, through a proxy."""

    proxy: Proxy = field(kw_only=True)


def bench(proxy: Proxy, names: FreshNames, data: Path, env: Mapping[str, str]) -> ProxyBench:
    return ProxyBench(
        proxy.server,
        ends.single(names),
        data,
        data.parent / "fresh",
        oracle.disk_state(data),
        {**env, **proxy.env},
        proxy.client(),
        proxy=proxy,
    )


def plain_bench(server: S3Server, names: FreshNames, data: Path, env: Mapping[str, str]) -> Bench:
    """Without anything between the command and the server."""
    fresh = data.parent / "fresh"
    return Bench(server, ends.single(names), data, fresh, oracle.disk_state(data), env, server.client())


def all_copied(completed: command.Completed, count: int = FILES) -> dict[str, Any]:
    document: dict[str, Any] = completed.expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": count, "copied": count}, completed
    return document


def put(fault: faults.Fault, **when: Any) -> Rule:
    return Rule(fault, "PUT", RAW_FILE, **{"name": "put", **when})


def get(fault: faults.Fault, **when: Any) -> Rule:
    return Rule(fault, "GET", RAW_FILE, **{"name": "get", **when})


PART = r"[?&]partNumber="
BEGIN = r"[?&]uploads"
COMPLETE = r"[?&]uploadId="


def part(fault: faults.Fault, **when: Any) -> Rule:
    return Rule(fault, "PUT", PART, **{"name": "part", **when})


def complete(fault: faults.Fault, **when: Any) -> Rule:
    return Rule(fault, "POST", COMPLETE, **{"name": "complete", **when})


def first_do(act: Callable[[], None], *, once: bool = True) -> faults.Fault:
    """Something happens elsewhere at this very moment; then the request goes on as it should, and with it others that the rule met."""
    done: list[bool] = []
    lock = threading.Lock()

    def act_and_go_on(exchange: faults.Exchange) -> None:
        with lock:
            if not (done and once):
                done.append(True)
                act()
        exchange.reply(exchange.forward())

    return act_and_go_on


def one_at_a_time(act: Callable[[], None], *, before: int) -> faults.Fault:
    """Requests that the rule meets go on one after the other; something happens before the one of this number, from 1."""
    numbers = itertools.count(1)
    lock = threading.Lock()

    def wait_and_go_on(exchange: faults.Exchange) -> None:
        with lock:
            if next(numbers) == before:
                act()
            reply = exchange.forward()
        exchange.reply(reply)

    return wait_and_go_on


def then_do(act: Callable[[], None]) -> faults.Fault:
    """The server does what it is asked, then something happens, and only then the client hears of it."""

    def go_on_and_act(exchange: faults.Exchange) -> None:
        reply = exchange.forward()
        act()
        exchange.reply(reply)

    return go_on_and_act


@contextlib.contextmanager
def changing_source(moved: Bench) -> Iterator[None]:
    """What is changed at the source within is what is expected afterwards."""
    yield
    moved.expected = oracle.disk_state(moved.data)


def path_of(root: Path, name: oracle.RawFileName) -> Path:
    return root / name[0] / name[1][:3] / name[1]


def is_root() -> bool:
    return os.geteuid() == 0
