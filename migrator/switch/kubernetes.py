"""Bytes as a Deployment of Kubernetes, stopped and started by scaling it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.errors import CannotStart
from migrator.switch.commands import QUICK_SECONDS, environment_of, kubectl, run, run_or_raise, unknown_bytes
from migrator.switch.deployment import SERVICES


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """A Deployment. `replicas` is how many pods it has when Bytes runs; "" namespace is kubectl's current one."""

    service: str = SERVICES["kubernetes"]
    namespace: str = ""
    replicas: int = 1
    name: str = "kubernetes"

    @property
    def stop_command(self) -> str:
        """Return the call of kubectl that scales to 0."""
        return shlex.join(self.words("scale", f"deployment/{self.service}", "--replicas=0"))

    @property
    def start_command(self) -> str:
        """Return the calls of kubectl that scale to as many replicas as before, and wait for them."""
        scale = shlex.join(self.words("scale", f"deployment/{self.service}", f"--replicas={self.replicas}"))
        wait = shlex.join(self.words("rollout", "status", f"deployment/{self.service}", "--timeout=110s"))
        return f"{scale} && {wait}"

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {
            "kind": self.name,
            "service": self.service,
            "namespace": self.namespace,
            "replicas": str(self.replicas),
        }

    def refuse_unknown(self) -> None:
        """Look for the deployment, and whether these credentials may scale it.

        Raises:
            CannotStart: If there is none, or they may not.
        """  # noqa: DOC501 made by unknown_bytes
        found = run(self.words("get", f"deployment/{self.service}", "--output=name"), seconds=QUICK_SECONDS)
        if not found.is_well:
            raise unknown_bytes(
                f"kubectl finds no deployment/{self.service}", found.error, "Name it by --service, and its --namespace."
            )
        may = run(self.words("auth", "can-i", "patch", "deployments/scale"), seconds=QUICK_SECONDS)
        if not may.is_well:
            raise CannotStart(
                "switch-rights",
                f"These credentials may not scale deployment/{self.service}.",
                why="kubectl auth can-i patch deployments/scale says no.",
                cure="Run this with the namespace administrator's rights.",
            )

    def stop(self) -> None:
        """Scale to 0; raises MustStop where that fails."""
        run_or_raise(self.stop_command, "stop")

    def is_stopped(self) -> bool | None:
        """A pod that is being ended still counts: it may write."""
        pods = run(self.words("get", "pods", f"--selector={self._selector()}", "--output=name"), seconds=QUICK_SECONDS)
        return pods.is_well and not pods.output.split()

    def start(self) -> None:
        """Scale to as many replicas as before; raises MustStop where that fails."""
        run_or_raise(self.start_command, "start")

    def environment(self) -> Mapping[str, str] | None:
        """Return the environment in a pod; None if none runs."""
        found = run(self.words("exec", f"deployment/{self.service}", "--", "env"), seconds=QUICK_SECONDS)
        return environment_of(found.output.splitlines()) if found.is_well else None

    def with_present_replicas(self) -> Kubernetes:
        """Return it with the number of replicas that it has now, at least one."""
        found = run(
            self.words("get", f"deployment/{self.service}", "--output=jsonpath={.spec.replicas}"), seconds=QUICK_SECONDS
        )
        number = found.output.strip()
        count = int(number) if found.is_well and number.isdigit() else 1
        return Kubernetes(self.service, self.namespace, max(1, count))

    def words(self, *words: str) -> tuple[str, ...]:
        """Return a call of kubectl in the namespace, as words."""
        return kubectl(self.namespace, *words)

    def _selector(self) -> str:
        found = run(self.words("get", f"deployment/{self.service}", "--output=json"), seconds=QUICK_SECONDS)
        try:
            labels = json.loads(found.output)["spec"]["selector"]["matchLabels"]
            return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"app={self.service}"
