"""How long raw files are unreadable during a switch: ``python -m tests.bench.unreadable [--files 10000] [--rounds 3]``.

A stand-in Bytes on disk, and SeaweedFS behind nginx. A reader asks Bytes for random raw files without pause, from before the switch to
after it, with and without ``--read-through``. The measure is the time from the last read before a failure to the first one after it, all
such times added up. `by itself` is the same for Bytes stopped and started by hand.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests import command, oracle, read_through_scene, switch_scene
from tests.read_through_scene import Reader, Through
from tests.servers import Servers

OWNER = ("--owner", "1000:1000", "--new-within", "0")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.unreadable")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, nargs="*", default=list(WAYS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-unreadable-") as name:
        folder = Path(name)
        os.environ["BYTES_MIGRATOR_FORCE"] = "bytes-calls"
        (folder / "servers").mkdir()
        with Servers(folder / "servers", os.getpid()).private("weed") as private:
            for way, act in [(way, WAYS[way]) for way in options.way]:
                found = []
                for number in range(options.rounds):
                    os.environ["XDG_STATE_HOME"] = str(folder / f"{way}-{number}")
                    naming = oracle.Single(f"bench-{list(WAYS).index(way)}-{number}")
                    with read_through_scene.installed(private.server, naming, raw_files=options.files) as through:
                        found.append(_measured(through, act))
                seconds = ", ".join(f"{one.seconds_without:.2f}" for one in found)
                median = statistics.median(one.seconds_without for one in found)
                refused = sum(len(one.unreadable) + len(one.wrong) for one in found)
                print(f"{way}: {median:.2f} s unreadable ({seconds}); {refused} wrong answers of Bytes", flush=True)
    return 0


def _measured(through: Through, act: Callable[[Through], None]) -> Reader:
    reader = Reader(through.scene, switch_scene.contents(through.scene))
    began = time.monotonic()
    with reader.reading():
        act(through)
        enough = reader.read + 20
        while reader.read < enough:
            time.sleep(0.05)
    sys.stderr.write(
        f"{reader.read} reads in {time.monotonic() - began:.1f} s, without {reader.seconds_without:.2f} s\n"
    )
    return reader


def _restart(through: Through) -> None:
    time.sleep(1)
    through.scene.ctl("stop")
    through.scene.ctl("start")
    through.scene.wait_until_up()


def _switch(through: Through, words: tuple[str, ...]) -> None:
    ended = command.run(
        *words, env=through.scene.env, timeout=3600, secrets=(switch_scene.PASSWORD,), installed=True
    ).expect(0)
    sys.stderr.write(ended.stdout)


WAYS: dict[str, Callable[[Through], None]] = {
    "by itself": _restart,
    "switch": lambda through: _switch(through, through.scene.to_s3(*OWNER)),
    "switch --read-through": lambda through: _switch(through, through.words(*OWNER)),
}


if __name__ == "__main__":
    sys.exit(main())
