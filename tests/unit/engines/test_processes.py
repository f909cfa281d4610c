"""Worker processes: fed from one queue, told apart from dead ones, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.core.cancellation import StopFlag
from migrator.core.errors import MustStop, Unavailable
from migrator.core.notices import Problem
from migrator.engines.processes import Processes
from migrator.engines.single_thread import UnitQueue
from migrator.sync.channel import Line
from migrator.sync.messages import Event, ProgressEvent, Survey, UnitEnded
from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.gate import gate_before
from tests.servers import S3Server


def echo(units: UnitQueue, line: Line) -> None:
    """Tells each unit's name and process, and that it ended."""
    while (unit := units.take(wait=True)) is not None:
        assert isinstance(unit, Survey)
        line.send(_told(unit.organization))
        line.send(UnitEnded())


def _told(organization: str) -> ProgressEvent:
    return ProgressEvent(organization=organization, problems=[Problem("stray", organization, str(os.getpid()), "")])


def block(units: UnitQueue, line: Line) -> None:
    """Tells who it is and then waits for ever."""
    line.send(_told("here"))
    signal.pause()


def events_until(engine: Processes, enough: Callable[[list[Event]], bool], timeout: float = 30) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + timeout
    while not enough(events):
        assert time.monotonic() < deadline, events
        event = engine.next_event(0.1)
        if event is not None:
            events.append(event)
    return events


def pids(events: list[Event]) -> list[int]:
    return [int(event.problems[0].where) for event in events if isinstance(event, ProgressEvent)]


def ended(events: list[Event]) -> int:
    return sum(isinstance(event, UnitEnded) for event in events)


def wait_for_end(*numbers: int) -> None:
    """Until none of these processes lives; they need not be children."""
    for number in numbers:
        try:
            watch = os.pidfd_open(number)
        except ProcessLookupError:
            continue
        assert select.select([watch], [], [], 20)[0], f"process {number} is still there"
        os.close(watch)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_unit_ends_once_in_some_worker(workers: int) -> None:
    units = [Survey(f"org-{number}") for number in range(50)]
    with Processes(echo, workers=workers, stopping=StopFlag()) as engine:
        assert engine.capacity >= workers
        for unit in units:
            engine.submit(unit)
        events = events_until(engine, lambda events: ended(events) == len(units))
    told = [event.organization for event in events if isinstance(event, ProgressEvent)]
    assert sorted(told) == sorted(unit.organization for unit in units)
    assert 1 <= len(set(pids(events))) <= workers
    assert os.getpid() not in pids(events)
    wait_for_end(*pids(events))


def test_leaving_ends_workers_though_nobody_listened() -> None:
    """More than a pipe holds is told, and never taken."""
    with Processes(echo, workers=2, stopping=StopFlag()) as engine:
        for number in range(3_000):
            engine.submit(Survey(f"org-{number}"))
        first = events_until(engine, lambda events: len(events) > 1)
    wait_for_end(*pids(first))


def test_a_worker_that_is_killed_ends_the_run_in_words() -> None:
    with Processes(echo, workers=2, stopping=StopFlag()) as engine:
        for _ in range(20):
            engine.submit(Survey("org"))
        events = events_until(engine, lambda events: ended(events) == 20)
        os.kill(pids(events)[0], signal.SIGKILL)
        with pytest.raises(MustStop) as stopped:
            events_until(engine, lambda events: False)
    assert stopped.value.name == "worker-died"
    assert "was killed by SIGKILL" in stopped.value.what
    assert "rerun to resume" in stopped.value.cure.lower()
    wait_for_end(*pids(events))


def test_a_worker_that_breaks_is_told_by_its_status(capfd: pytest.CaptureFixture[str]) -> None:
    def breaks(units: UnitQueue, line: Line) -> None:
        raise SystemExit(7)

    with Processes(breaks, workers=1, stopping=StopFlag()) as engine, pytest.raises(MustStop, match="status 7"):
        events_until(engine, lambda events: False)


def test_workers_that_leave_their_units_end_the_run() -> None:
    def leaves(units: UnitQueue, line: Line) -> None:
        units.take(wait=True)

    with Processes(leaves, workers=1, stopping=StopFlag()) as engine:
        engine.submit(Survey("org"))
        with pytest.raises(MustStop, match="status 0"):
            events_until(engine, lambda events: False)


def test_the_stop_flag_is_seen_in_both_directions() -> None:
    flag = StopFlag()

    def waits(units: UnitQueue, line: Line) -> None:
        line.send(_told("waiting"))
        assert flag.wait(30)
        line.send(UnitEnded())
        echo(units, line)

    with Processes(waits, workers=2, stopping=flag) as engine:
        events_until(engine, lambda events: len(pids(events)) == 2)
        assert engine.next_event(0.05) is None
        flag.set()
        events_until(engine, lambda events: ended(events) == 2)

    other = StopFlag()

    def sets(units: UnitQueue, line: Line) -> None:
        other.set()
        echo(units, line)

    with Processes(sets, workers=1, stopping=other):
        assert other.wait(30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_are_the_coordinators(number: int) -> None:
    with Processes(echo, workers=1, stopping=StopFlag()) as engine:
        engine.submit(Survey("one"))
        events = events_until(engine, lambda events: ended(events) == 1)
        os.kill(pids(events)[0], number)
        engine.submit(Survey("two"))
        events_until(engine, lambda events: ended(events) == 1)


def test_errors_cross_whole() -> None:
    error = Unavailable("unreachable", "What.", why="Why.", cure="Cure.")

    def fails(units: UnitQueue, line: Line) -> None:
        while units.take(wait=True) is not None:
            line.send(UnitEnded(error))

    with Processes(fails, workers=1, stopping=StopFlag()) as engine:
        engine.submit(Survey("org"))
        (event,) = events_until(engine, lambda events: ended(events) == 1)
    assert isinstance(event, UnitEnded)
    assert isinstance(event.error, Unavailable)
    assert (event.error.name, event.error.what, event.error.why, event.error.cure) == (
        "unreachable",
        "What.",
        "Why.",
        "Cure.",
    )


_PARENT = """
import json, sys
from migrator.engines.processes import Processes
from migrator.core.cancellation import StopFlag
from tests.unit.engines.test_processes import block, pids
with Processes(block, workers=3, stopping=StopFlag()) as engine:
    found = []
    while len(found) < 3:
        event = engine.next_event(1)
        found += pids([event]) if event else []
    print(json.dumps(found), flush=True)
    sys.stdin.read()
"""


def test_workers_die_with_their_parent() -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        workers = json.loads(parent.stdout.readline())
        assert len(set(workers)) == 3
        assert parent.pid not in workers
        parent.kill()
        parent.wait(20)
        wait_for_end(*workers)


# --- through the command ---------------------------------------------------------------------------------------------


def children_of(number: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{number}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread may have ended since it was listed
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


@pytest.mark.row(1, 8)
@pytest.mark.parametrize("killed", ["worker", "parent"])
def test_whoever_is_killed_the_next_run_goes_on(
    killed: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    ends.make_varied_store(data, {"alpha": 60})
    words = (*ends.MIGRATE, "--from", data, "--to", ends.template(naming))
    with gate_before(weed) as gate:
        env = gate.server.env()
        gate.hold_after(20, "PUT")
        with command.start(*words, env=env) as process:
            assert process.wait_for(gate.is_holding), process.output_so_far()
            workers = children_of(process.pid)
            assert workers
            if killed == "worker":
                os.kill(workers[0], signal.SIGKILL)
                gate.release()
                error = process.finish(60).expect(3).json()["error"]
                assert error["name"] == "worker-died"
                assert "SIGKILL" in error["what"]
            else:
                process.signal(signal.SIGKILL)
            wait_for_end(*workers)
        gate.release(drop=True)
        there = len(oracle.s3_listing(weed.client(), naming))
        document = command.run(*words, env=weed.env()).expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document)["discovered"] == 60
    assert ends.files(document).get("present", 0) >= there
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize(
    "mounted", [("-o", "ro", "tmpfs", "/dev/shm"), ("tmpfs", "/dev")], ids=["read-only", "missing"]
)
def test_a_system_without_shared_memory_is_told_in_words(mounted: tuple[str, ...]) -> None:
    code = (
        "from migrator.core.cancellation import StopFlag\n"
        "from migrator.engines.processes import Processes\n"
        "Processes(print, workers=1, stopping=StopFlag())"
    )
    script = f'mount -t tmpfs {" ".join(mounted)} && exec "$0" -c "{code}"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable], capture_output=True, text=True, check=False
    )
    assert "CannotStart: Processes cannot share memory at /dev/shm: " in done.stderr
