"""Runs the commands that stop, start and look at Bytes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from typing import Literal, NamedTuple

from migrator.core.errors import CannotStart, MustStop
from migrator.core.redaction import without_secrets

COMMAND_SECONDS = 120.0
"""The longest that one command may take. systemd gives a service 90 s to stop, then kills it."""
QUICK_SECONDS = 20.0
"""The longest that a look may take."""
_LARGEST_OUTPUT = 4 * 1024 * 1024
_SHOWN = 300


class Ran(NamedTuple):
    """How a command ended. `status` is None where it could not be started or took too long; `error` says why it failed, in words."""

    status: int | None
    output: str
    error: str

    @property
    def is_well(self) -> bool:
        """Return True if the command ended with status 0."""
        return self.status == 0


def kubectl(namespace: str, *words: str) -> tuple[str, ...]:
    """Return the words of a kubectl command; "" namespace is kubectl's current one."""
    return ("kubectl", *(("--namespace", namespace) if namespace else ()), *words)


def run(words: Sequence[str] | str, *, given: str = "", seconds: float = COMMAND_SECONDS) -> Ran:
    """Run a command to its end; text is a shell's command line. Never raises.

    It has a session of its own: Ctrl-C at the terminal must not break off the start of Bytes. Its output goes to files, since a service
    that it leaves running would keep a pipe open.
    """
    argv = ["/bin/sh", "-c", words] if isinstance(words, str) else list(words)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as into:
        into.write(given.encode())
        into.seek(0)
        try:
            done = subprocess.run(
                argv, stdin=into, stdout=out, stderr=err, timeout=seconds, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            return Ran(None, "", f"it did not end within {seconds:.0f} s")
        except OSError as error:
            return Ran(None, "", f"it cannot be started: {error.strerror}")
        out.seek(0)
        err.seek(0)
        output, said = (file.read(_LARGEST_OUTPUT).decode(errors="replace") for file in (out, err))
    words_of_it = " ".join(without_secrets(said or output).split())[-_SHOWN:]
    failure = "" if done.returncode == 0 else f"exit status {done.returncode}{': ' if words_of_it else ''}{words_of_it}"
    return Ran(done.returncode, output, failure)


def run_or_raise(command: str, what: Literal["stop", "start"]) -> None:
    """Run the command that stops or starts Bytes.

    Raises:
        MustStop: If it fails.
    """
    ran = run(command)
    if not ran.is_well:
        raise MustStop(
            "switch-stop-failed" if what == "stop" else "switch-start-failed",
            f"Bytes did not {what}: {command}",
            why=ran.error,
            cure="Look at what the command says, and at Bytes' log.",
        )


def unknown_bytes(what: str, error: str, cure: str) -> CannotStart:
    """Return the error that there is no such Bytes."""
    return CannotStart("switch-deployment", f"{what}.", why=error, cure=cure)


def environment_of(lines: list[str]) -> dict[str, str]:
    """Return an environment, given as lines NAME=value."""
    return dict(line.split("=", 1) for line in lines if "=" in line)
