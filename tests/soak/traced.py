"""The command under `strace`, forked with the program imported: a third of the CPU that it takes to start it below `strace`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from migrator.__main__ import main as command_main
from tests import command

ENTRY = "tests.soak.traced:main"
_OPTIONS = "MIGRATOR_TESTS_STRACE"
_ATTACH_SECONDS = 30.0


def started(words: tuple[str, ...], env: command.Environment, *options: str) -> command.Process:
    """Start the command with these words; `strace` with these options has attached before the program's first line runs."""
    return command.Process(words, None, {**env, _OPTIONS: json.dumps(options)}, None, (), entry=ENTRY)


def main() -> None:
    """Attach, then be the command. The tracer is in the command's process group, so it ends with it."""
    options = json.loads(os.environ.pop(_OPTIONS))
    tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(os.getpid())], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + _ATTACH_SECONDS
    while not _is_traced():
        assert tracer.poll() is None, "strace ended before it had attached"
        assert time.monotonic() < deadline, "strace did not attach"
        time.sleep(0.002)
    command_main()


def _is_traced() -> bool:
    """Whether this process has a tracer (proc(5), `TracerPid`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("TracerPid:")).split()[1] != "0"


if __name__ == "__main__":
    main()
