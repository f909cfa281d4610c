"""The parts that a switch works with, made from what the journal keeps of them, and how Bytes' health is seen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.checks.audit.bytes_api import BytesApi
from migrator.core.errors import MustStop
from migrator.switch.deployment import Compose, Debian, Deployment, OwnCommands
from migrator.switch.kubernetes import Kubernetes
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_kubernetes import SettingsObject
from migrator.switch.settings_store import SettingsStore

HEALTH_SECONDS = 120.0
"""The longest that a start of Bytes may take; it migrates its database at its start."""
STOP_SECONDS = 30.0
"""The longest wait, after the command that stops Bytes, until nothing of it is left."""
_ASK_SECONDS = 5.0
_POLL_SECONDS = 0.05
_STEADY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Parts:
    """An installed Bytes: how it is stopped and started, where its settings are, and the URL that it answers at ("" for none)."""

    deployment: Deployment
    store: SettingsStore
    api: str

    def is_healthy(self) -> bool | None:
        """Return whether Bytes answers its health check, or runs where no URL is known; None where neither can be seen."""
        if self.api:
            return BytesApi(self.api, seconds=_ASK_SECONDS).health_status() in (
                200,
                404,
            )  # 404: a Bytes without that route
        stopped = self.deployment.is_stopped()
        return None if stopped is None else not stopped

    def wait_until_stopped(self) -> None:
        """Wait until Bytes neither runs nor answers.

        Raises:
            MustStop: If it still does STOP_SECONDS after it was told to stop.
        """
        until = time.monotonic() + STOP_SECONDS
        while self.deployment.is_stopped() is False or (self.api and self.is_healthy()):
            if time.monotonic() > until:
                raise MustStop(
                    "switch-still-runs",
                    "Bytes still runs after it was stopped.",
                    why=f"{self.deployment.stop_command} succeeded, and"
                    + (
                        f" {self.api} still answers."
                        if self.api and self.is_healthy()
                        else " the service is still there."
                    ),
                    cure="Find and stop it: perhaps a second Bytes behind the same URL.",
                )
            time.sleep(_POLL_SECONDS)

    def refuse_started(self) -> None:
        """Look whether Bytes runs again while it is to be stopped: what runs keeps its settings, and is not started anew.

        Raises:
            MustStop: If it does.
        """
        if self.deployment.is_stopped() is False or (self.api and self.is_healthy()):
            raise MustStop(
                "switch-started-meanwhile",
                "Something started Bytes again while it was to be stopped.",
                why="It runs with its old settings. What it saved meanwhile is at the old place.",
                cure="Pause what restarts Bytes (monitoring, a timer, an operator of Kubernetes), then run the same command again.",
            )

    def wait_until_healthy(self, seconds: float = HEALTH_SECONDS) -> None:
        """Wait until Bytes answers.

        Raises:
            MustStop: If it does not within so many seconds, or ends soon after its start.
        """
        until = time.monotonic() + seconds
        while self.is_healthy() is False:
            if time.monotonic() > until:
                raise MustStop(
                    "switch-unhealthy",
                    f"Bytes did not become healthy within {seconds:.0f} s.",
                    why=f"{self.api}/health gave no answer of a healthy Bytes."
                    if self.api
                    else "The service does not run.",
                    cure="See Bytes' log: journalctl -u kat-bytes, docker compose logs bytes, or kubectl logs.",
                )
            time.sleep(_POLL_SECONDS)
        if not self.api and self.is_healthy() is not None:
            self._refuse_ending()

    def _refuse_ending(self) -> None:
        """Look a second time: without a URL, a service that ends at once looks healthy for an instant.

        Raises:
            MustStop: If it ended.
        """
        time.sleep(_STEADY_SECONDS)
        if not self.is_healthy():
            raise MustStop(
                "switch-unhealthy",
                "Bytes was started, and ended again at once.",
                cure="See Bytes' log: journalctl -u kat-bytes, docker compose logs bytes, or kubectl logs.",
            )


def parts_of(deployment: Mapping[str, str], settings: Mapping[str, str], api: str) -> Parts:
    """Return the parts that these specifications name; the inverse of their `spec` methods. Raises KeyError for what is none."""
    return Parts(_deployment_of(deployment), _store_of(settings), api)


def _deployment_of(record: Mapping[str, str]) -> Deployment:
    if record["kind"] == "debian":
        return Debian(record["service"])
    if record["kind"] == "compose":
        return Compose(record["folder"], record["service"])
    if record["kind"] == "kubernetes":
        return Kubernetes(record["service"], record["namespace"], int(record["replicas"]))
    return OwnCommands(record["stop"], record["start"])


def _store_of(record: Mapping[str, str]) -> SettingsStore:
    if record["kind"] == "kubernetes":
        return SettingsObject(record["name"], record["namespace"], Path(record["folder"]))
    return SettingsFile(Path(record["path"]))
