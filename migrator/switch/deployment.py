"""How Bytes is installed: the commands that stop it, start it, and tell whether it runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from migrator.core.errors import CannotStart
from migrator.switch.commands import QUICK_SECONDS, environment_of, run, run_or_raise, unknown_bytes

Kind = Literal["debian", "compose", "kubernetes"]
KINDS: tuple[Kind, ...] = ("debian", "compose", "kubernetes")
SERVICES: Mapping[Kind, str] = {"debian": "kat-bytes", "compose": "bytes", "kubernetes": "bytes"}
"""Bytes' own name in each of OpenKAT's installations: unit, service, and Deployment."""


class Deployment(Protocol):
    """An installed Bytes. `stop` and `start` can be called again: one that is stopped, or runs, stays so."""

    @property
    def name(self) -> str:
        """Return the kind, as `--deployment` has it."""
        ...

    @property
    def stop_command(self) -> str:
        """Return the command that stops Bytes, to be shown and pasted."""
        ...

    @property
    def start_command(self) -> str:
        """Return the command that starts Bytes, to be shown and pasted."""
        ...

    def spec(self) -> Mapping[str, str]:
        """What the journal keeps of it; `parts.parts_of` is the inverse."""
        ...

    def refuse_unknown(self) -> None:
        """Raise CannotStart where there is no such Bytes, or where this user may not stop it."""
        ...

    def stop(self) -> None:
        """Raise MustStop where the command fails."""
        ...

    def is_stopped(self) -> bool | None:
        """Return whether no Bytes runs; None where this kind of installation cannot tell."""
        ...

    def start(self) -> None:
        """Raise MustStop where the command fails."""
        ...

    def environment(self) -> Mapping[str, str] | None:
        """Return what the running Bytes was started with; None where that cannot be seen."""
        ...


@dataclass(frozen=True, slots=True)
class Debian:
    """A systemd unit of the Debian packages."""

    service: str = SERVICES["debian"]
    name: str = "debian"

    @property
    def stop_command(self) -> str:
        """Return the call of systemctl."""
        return f"systemctl stop {shlex.quote(self.service)}"

    @property
    def start_command(self) -> str:
        """Return the call of systemctl."""
        return f"systemctl start {shlex.quote(self.service)}"

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {"kind": self.name, "service": self.service}

    def refuse_unknown(self) -> None:
        """Look for the unit, and whether this user may stop it.

        Raises:
            CannotStart: If systemd has no such unit, or this is not root.
        """  # noqa: DOC501 made by unknown_bytes
        state = run(["systemctl", "show", "--property=LoadState", "--value", self.service], seconds=QUICK_SECONDS)
        if not state.is_well or state.output.strip() != "loaded":
            raise unknown_bytes(f"systemd has no unit {self.service}", state.error, "Name it by --service.")
        if os.geteuid() != 0:
            raise CannotStart(
                "switch-rights",
                f"Only root may stop {self.service}, and this runs as user id {os.geteuid()}.",
                cure="Rerun as root.",
            )

    def stop(self) -> None:
        """Stop the unit; raises MustStop where that fails."""
        run_or_raise(self.stop_command, "stop")

    def is_stopped(self) -> bool | None:
        """Return True if systemd says that the unit is not active."""
        found = run(["systemctl", "is-active", self.service], seconds=QUICK_SECONDS).output.strip()
        return found in ("inactive", "failed", "unknown")

    def start(self) -> None:
        """Start the unit, having reset its failures: a start limit may refuse it otherwise."""
        run(["systemctl", "reset-failed", self.service], seconds=QUICK_SECONDS)  # else a start limit may refuse it
        run_or_raise(self.start_command, "start")

    def environment(self) -> Mapping[str, str] | None:
        """Return the environment of the unit's main process; None if it does not run or cannot be read."""
        shown = run(["systemctl", "show", "--property=MainPID", "--value", self.service], seconds=QUICK_SECONDS)
        number = shown.output.strip()
        try:
            content = Path(f"/proc/{int(number)}/environ").read_bytes()
        except (OSError, ValueError):
            return None
        return environment_of(content.decode(errors="replace").split("\0"))


@dataclass(frozen=True, slots=True)
class Compose:
    """A service of a Compose project. `folder` is the project's, absolute."""

    folder: str
    service: str = SERVICES["compose"]
    name: str = "compose"

    @property
    def stop_command(self) -> str:
        """Return the call of docker compose."""
        return self._words("stop", self.service)

    @property
    def start_command(self) -> str:
        """Return the call of docker compose: `up`, since `start` would keep the old environment."""
        return self._words("up", "--detach", "--no-deps", self.service)

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {"kind": self.name, "service": self.service, "folder": self.folder}

    def refuse_unknown(self) -> None:
        """Look for a container of the service.

        Raises:
            CannotStart: If there is none, or Docker cannot be asked.
        """  # noqa: DOC501 made by unknown_bytes
        found = run(self._words("ps", "--all", "--services"), seconds=QUICK_SECONDS)
        if not found.is_well or self.service not in found.output.split():
            raise unknown_bytes(
                f"The Compose project in {self.folder} has no container of a service {self.service}",
                found.error,
                "Run this in the project's folder, as a user who may use Docker; name the service by --service.",
            )

    def stop(self) -> None:
        """Stop the service's containers; raises MustStop where that fails."""
        run_or_raise(self.stop_command, "stop")

    def is_stopped(self) -> bool | None:
        """Return True if no container of the service runs."""
        found = run(self._words("ps", "--services", "--status", "running"), seconds=QUICK_SECONDS)
        return found.is_well and self.service not in found.output.split()

    def start(self) -> None:
        """Make the container anew with the present settings; raises MustStop where that fails."""
        run_or_raise(self.start_command, "start")

    def environment(self) -> Mapping[str, str] | None:
        """Return the environment in the container; None if it does not run."""
        found = run(self._words("exec", "-T", self.service, "env"), seconds=QUICK_SECONDS)
        return environment_of(found.output.splitlines()) if found.is_well else None

    def _words(self, *words: str) -> str:
        return shlex.join(("docker", "compose", "--project-directory", self.folder, *words))


@dataclass(frozen=True, slots=True)
class OwnCommands:
    """Any other installation: two shell commands of the operator's."""

    stop_command: str
    start_command: str
    name: str = "own commands"

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {"kind": self.name, "stop": self.stop_command, "start": self.start_command}

    def refuse_unknown(self) -> None:
        """The commands are all that is known of it."""

    def stop(self) -> None:
        """Run the operator's own command; raises MustStop where that fails."""
        run_or_raise(self.stop_command, "stop")

    def is_stopped(self) -> bool | None:
        """Return None: nobody can tell but Bytes' own URL."""
        return None

    def start(self) -> None:
        """Run the operator's own command; raises MustStop where that fails."""
        run_or_raise(self.start_command, "start")

    def environment(self) -> Mapping[str, str] | None:
        """Return None: it is not known where Bytes runs."""
        return None
