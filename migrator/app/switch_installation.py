"""How Bytes is installed here: as the operator says, or as what is here shows unmistakably."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.app.options import Options
from migrator.config.environment import DEBIAN_FILES
from migrator.core.errors import SettingsError
from migrator.switch.deployment import SERVICES, Compose, Debian, Deployment, Kind, OwnCommands
from migrator.switch.kubernetes import Kubernetes
from migrator.switch.parts import Parts
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_kubernetes import SettingsObject
from migrator.switch.settings_store import SettingsStore

_COMPOSE_FILES = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How the operator says that Bytes is installed; None and "" where nothing was said."""

    deployment: Kind | None = None
    service: str = ""
    namespace: str = ""
    stop: str = ""
    start: str = ""
    settings: str = ""
    api: str = ""


def parts_for(given: Installation, options: Options, environ: Mapping[str, str]) -> tuple[Parts, str]:
    """Return Bytes' parts, and how they were found, in words. Raises SettingsError, CannotStart."""
    deployment, found = _deployment(given, environ)
    deployment.refuse_unknown()
    if isinstance(deployment, Kubernetes):
        deployment = deployment.with_present_replicas()
    store = _store(given, deployment, options)
    return Parts(deployment, store, given.api.rstrip("/")), found


def _deployment(given: Installation, environ: Mapping[str, str]) -> tuple[Deployment, str]:
    if given.stop or given.start:
        return _own_commands(given), "by --stop and --start"
    kinds = [given.deployment] if given.deployment else _kinds_here(environ)
    if len(kinds) != 1:
        raise SettingsError(
            "deployment-unknown",
            "How Bytes is deployed is not clear here."
            if not kinds
            else f"Bytes could be deployed as {' or as '.join(kinds)}.",
            why="A switch stops and starts Bytes, and must not guess.",
            cure="Add --deployment debian, compose or kubernetes; or --stop COMMAND --start COMMAND --settings FILE.",
        )
    kind = kinds[0]
    service = given.service or SERVICES[kind]
    found = "by --deployment" if given.deployment else "found here: nothing else fits"
    if kind == "debian":
        return Debian(service), found
    if kind == "compose":
        return Compose(os.getcwd(), service), found
    return Kubernetes(service, given.namespace), found


def _own_commands(given: Installation) -> Deployment:
    missing = [name for name in ("stop", "start", "settings") if not getattr(given, name)]
    if given.deployment or missing:
        raise SettingsError(
            "switch-commands",
            "--stop, --start and --settings belong together, without --deployment.",
            why=f"Missing: {', '.join(f'--{name}' for name in missing)}."
            if missing
            else "--deployment has its own commands.",
            cure="Give all three of them, or --deployment alone.",
        )
    return OwnCommands(given.stop, given.start)


def _kinds_here(environ: Mapping[str, str]) -> list[Kind]:
    here: dict[Kind, bool] = {
        "debian": os.path.exists(DEBIAN_FILES[-1]),
        "compose": any(os.path.exists(name) for name in _COMPOSE_FILES),
        "kubernetes": "KUBERNETES_SERVICE_HOST" in environ,
    }
    return [kind for kind, is_here in here.items() if is_here]


def _store(given: Installation, deployment: Deployment, options: Options) -> SettingsStore:
    if isinstance(deployment, Kubernetes):
        if given.settings.partition("/")[0].lower() not in ("secret", "configmap") or "/" not in given.settings:
            raise SettingsError(
                "switch-settings-object",
                "--settings does not name Bytes' environment.",
                why="In Kubernetes, that is a Secret or a ConfigMap.",
                cure="Write --settings secret/NAME or --settings configmap/NAME.",
            )
        return SettingsObject(given.settings, deployment.namespace, options.state.path)
    if given.settings:
        return SettingsFile(Path(given.settings))
    return SettingsFile(DEBIAN_FILES[-1] if isinstance(deployment, Debian) else Path(os.getcwd()) / ".env")
