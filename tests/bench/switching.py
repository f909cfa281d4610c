"""How long `switch` keeps Bytes stopped: ``python -m tests.bench.switching [--files 100000] [--new 100] [--rounds 3]``.

A stand-in Bytes (`tests/switch_scene.py`) on disk; SeaweedFS behind nginx with the lines that `runbook` prints. Bytes saves a raw file
every `--save-every` seconds through the whole switch, and `--new` more come in at the moment of the stop command. The measure is the
downtime in the journal, less what the same Bytes takes to be stopped, started and healthy by hand. Each round goes back by
`switch --back`, and every raw file that was saved is read through Bytes after each way.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from migrator.doctor.nginx_lines import nginx_lines
from tests import command, corpus, oracle, switch_scene
from tests.nginx import nginx_before
from tests.servers import S3Server, Servers
from tests.soak.switch_kills import Saver
from tests.switch_scene import Scene

OWNER = ("--owner", "1000:1000")


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-switch-")))
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        server = stack.enter_context(_server(folder, options.server))
        naming = oracle.Single("bench")
        _say(f"making {options.files:,} raw files")
        scene = stack.enter_context(switch_scene.installed(server, naming, raw_files=options.files))
        rounds = [_round(scene, options, number) for number in range(options.rounds)]
    for name in ("forth", "back"):
        over = [one[name]["downtime"] - one["bytes_itself"] for one in rounds]
        print(
            f"{name}: downtime less Bytes' own {statistics.median(over):.2f} s in the median of {len(over)}: "
            + ", ".join(f"{one:.2f}" for one in over)
        )
    print(json.dumps(rounds, indent=1))
    return 0


@contextmanager
def _server(folder: Path, kind: str) -> Iterator[S3Server]:
    servers = Servers(folder / "servers", os.getpid())
    (folder / "servers").mkdir()
    with servers.private(kind) as private, socket.socket() as probe:
        if kind != "weed":
            yield private.server
            return
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        lines = nginx_lines(private.server.endpoint_url, listen=f"127.0.0.1:{port}")
        with nginx_before(private.server, lines, port, folder / "nginx") as proxied:
            yield proxied


def _round(scene: Scene, options: argparse.Namespace, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes_itself": _by_hand(scene)}
    for name in ("forth", "back"):
        _have_new_ones_at_the_stop(scene, options.new if name == "forth" else 0, number)
        saver = Saver(scene, every=options.save_every)
        words = (
            scene.to_s3(*OWNER, "--json")
            if name == "forth"
            else ("switch", "--back", "--yes", "--settle", "0", *OWNER, "--json")
        )
        began = time.monotonic()
        with saver.saving():
            ended = command.run(
                *words, env=scene.env, timeout=4 * 3600, secrets=(switch_scene.PASSWORD,), installed=True
            )
        sys.stderr.write(ended.stderr)
        if ended.status:
            raise SystemExit(f"{name}: status {ended.status}\n{ended.stdout}")
        told = switch_scene.spoken(ended)
        steps = {one["step"]: one["seconds"] for one in told["steps"]}
        found[name] = {
            "downtime": told["downtime_seconds"],
            "seconds": time.monotonic() - began,
            "steps": steps,
            "saved": len(saver.saved),
            "verified": told["verified"],
        }
        unread = [raw_id for raw_id, content in saver.saved.items() if scene.read(raw_id) != content]
        assert not unread, unread
        _say(f"{name}: {json.dumps(found[name])}")
    return found


def _by_hand(scene: Scene) -> float:
    """Stop, start and see it healthy, as quick as it goes: what Bytes itself needs, in the median of 3."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        scene.ctl("stop")
        scene.ctl("start")
        scene.wait_until_up()
        took.append(time.monotonic() - began)
    return statistics.median(took)


def _have_new_ones_at_the_stop(scene: Scene, count: int, number: int) -> None:
    """Have the command that stops Bytes put so many raw files into its folder first, as requests that it still ends."""
    folder = scene.folder / f"new-{number}"
    mark = '    kill "$pid"\n'
    control = "".join(line for line in scene.control.read_text().splitlines(keepends=True) if "new ones" not in line)
    if count:
        store = corpus.make_store(folder, {"alpha": count}, sizes=400, seed=1000 + number)
        switch_scene._give_to_bytes(store.root)
        for organization, raw_id in oracle.disk_paths(folder):
            (scene.state / "rows" / raw_id).write_text(organization)
        control = control.replace(mark, f"    cp -a {folder}/. {scene.data}/  # new ones\n{mark}", 1)
    scene.control.write_text(control)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench-switch")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save-every", type=float, default=0.3)
    parser.add_argument("--server", default="weed", choices=["weed", "moto"])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
