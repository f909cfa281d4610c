"""Plans a switch: everything that can be known and refused while Bytes runs. Writes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.app.doctor import Diagnosis, DoctorRequest, examine
from migrator.app.migrating import new_run_id
from migrator.app.migrating import plan as plan_migration
from migrator.app.options import Options, Prepared, Stopping, Watch
from migrator.app.planning import prepare_to_migrate
from migrator.app.switch_request import SwitchRequest, ends_of, ends_of_plan, swapped
from migrator.app.switch_settings import refuse_other_bytes, refuse_other_place, wanted_for
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.audit.settings import login_of
from migrator.config.environment import DEBIAN_FILES, Environment, layer_of
from migrator.config.locations import environment_of
from migrator.config.settings import Locations, Overrides, Setting
from migrator.core.errors import CannotStart, SettingsError
from migrator.core.outcomes import FindingStatus
from migrator.reports.report import Report
from migrator.reports.text.switch import SwitchProposal
from migrator.switch.deployment import SERVICES, Compose, Debian, Deployment, Kind, Kubernetes, OwnCommands
from migrator.switch.journal import Story, SwitchEnd, SwitchPlan
from migrator.switch.parts import Parts
from migrator.switch.settings_edit import diff_lines, values_of
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_kubernetes import SettingsObject
from migrator.switch.settings_store import SettingsStore, digest

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A switch that can begin. `old` and `new` are the contents of Bytes' settings, secrets included; `api` None: no login."""

    locations: Locations
    prepared: Prepared
    parts: Parts
    plan: SwitchPlan
    old: bytes
    new: bytes
    settings: tuple[Setting, ...]
    api: BytesApi | None
    migration: Report
    proposal: SwitchProposal


def parts_for(given: Installation, options: Options, environ: Mapping[str, str]) -> tuple[Parts, str]:
    """Return Bytes' parts, and how they were found, in words. Raises SettingsError, CannotStart."""
    deployment, found = _deployment(given, environ)
    deployment.refuse_unknown()
    if isinstance(deployment, Kubernetes):
        deployment = deployment.with_present_replicas()
    store = _store(given, deployment, options)
    return Parts(deployment, store, given.api.rstrip("/")), found


def plan_switch(
    request: SwitchRequest,
    parts: Parts,
    found: str,
    options: Options,
    environ: Mapping[str, str],
    watch: Watch,
    stopping: Stopping,
    *,
    earlier: Story | None = None,
) -> Planned:
    """Look at everything that a switch needs. With `earlier`, plan the way back from that switch. Raises MigratorError."""
    store = parts.store
    old = store.read()
    settings = store.settings(old)
    if earlier is None:
        locations = ends_of(request, store, environ)
    else:
        locations = swapped(ends_of_plan(earlier.plan, store, environ))
    mounts = isinstance(parts.deployment, Compose | Kubernetes)
    refuse_other_place(store, settings, locations.source, mounts_data=mounts, is_new=False)
    refuse_other_bytes(store, settings, parts.deployment)
    new, names = _new_settings(request, store, old, locations, earlier, mounts_data=mounts)
    refuse_other_place(store, store.settings(new), locations.target, mounts_data=mounts, is_new=True)
    api, unproven = _api(parts, settings, request, environ)
    began = time.monotonic()
    prepared = prepare_to_migrate(locations, options, stopping)
    migration = plan_migration(prepared.locations, options, watch, stopping)
    looked = time.monotonic() - began
    run = new_run_id()
    words = request.as_dict() | {"backup": store.backup_name(run)}
    plan = SwitchPlan(
        run=run,
        source=str(locations.source),
        target=str(locations.target),
        ends=(locations.source.identity, locations.target.identity),
        deployment=parts.deployment.spec(),
        settings=store.spec(),
        names=tuple(names),
        old_digest=digest(old),
        new_digest=digest(new),
        api=parts.api,
        words=earlier.plan.words if earlier is not None else words,
        is_back=not earlier.plan.is_back if earlier is not None else False,
        began=time.time(),
    )
    proposal = SwitchProposal(
        run=plan.run,
        source=plan.source,
        target=plan.target,
        deployment=parts.deployment.name,
        found=found,
        stop_command=parts.deployment.stop_command,
        start_command=parts.deployment.start_command,
        settings=store.where,
        backup=store.backup_name(plan.run),
        diff=diff_lines(settings, values_of(store.settings(new), names)),
        missing=migration.overall,
        looked_seconds=looked,
        unproven=unproven,
        api=parts.api,
        findings=migration.findings,
    )
    return Planned(
        locations=prepared.locations,
        prepared=prepared,
        parts=parts,
        plan=plan,
        old=old,
        new=new,
        settings=tuple(settings),
        api=api,
        migration=migration,
        proposal=proposal,
    )


def refuse_what_doctor_refuses(locations: Locations, options: Options, *, probe: bool) -> Diagnosis:
    """Run the doctor's checks; with `probe` they write.

    Raises:
        CannotStart: If one finds an error that is not forced.
    """
    found = examine(locations, options, DoctorRequest(probe=probe), new_run_id())
    errors = [one for one in found.findings if one.status is FindingStatus.ERROR and not one.forced]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CannotStart(
            "switch-refused",
            f"`doctor` refuses {locations.target}: {errors[0].seen} [{errors[0].name}]{more}",
            why=errors[0].why,
            cure=errors[0].cure or "Run `bytes-migrator doctor --probe` with the same locations: it lists all of it.",
        )
    return found


def refuse_no_way_back(story: Story | None) -> Story:
    """Return the last switch, which `--back` takes back.

    Raises:
        SettingsError: If there is none, or it was rolled back.
    """
    if story is None or story.end is not SwitchEnd.SWITCHED:
        raise SettingsError(
            "switch-no-way-back",
            "There is no finished switch to go back from.",
            why="The last one was rolled back." if story is not None else "The state folder has no journal of one.",
            cure="Name both ends: bytes-migrator switch --from … --to …; or the state folder of that switch by --state-dir.",
        )
    return story


def _new_settings(
    request: SwitchRequest,
    store: SettingsStore,
    old: bytes,
    locations: Locations,
    earlier: Story | None,
    *,
    mounts_data: bool,
) -> tuple[bytes, Sequence[str]]:
    """Return the new content of the settings, and the names that change.

    The way back restores the backup where nothing else changed.

    Raises:
        CannotStart: If that backup is gone.
    """
    settings = store.settings(old)
    if earlier is None:
        wanted = wanted_for(locations.target, request.to, settings, mounts_data=mounts_data)
        return store.edited(old, wanted), list(wanted)
    names = earlier.plan.names
    backup = store.backup(earlier.plan.run)
    if backup is None:
        raise CannotStart(
            "switch-no-backup",
            f"The settings from before the switch, {store.backup_name(earlier.plan.run)}, are gone.",
            cure="Name both ends: bytes-migrator switch --from … --to …",
        )
    if digest(old) == earlier.plan.new_digest:
        return backup, names
    return store.edited(old, values_of(store.settings(backup), names)), names


def _api(
    parts: Parts, settings: Sequence[Setting], request: SwitchRequest, environ: Mapping[str, str]
) -> tuple[BytesApi | None, tuple[str, ...]]:
    """Return a signed-in Bytes, and what will not be proven without one."""
    if not parts.api:
        return None, (
            "Bytes will not be asked for raw files: --api URL is not given.",
            *(("Whether Bytes is healthy cannot be seen.",) if parts.is_healthy() is None else ()),
        )
    given = environment_of([Path(path) for path in request.env_files], Overrides(), environ)
    layers: Environment = replace(given, package=(layer_of(settings),))
    try:
        login = login_of(layers)
    except SettingsError as error:
        return None, (f"Bytes will not be asked for raw files: {error.what}",)
    api = BytesApi(parts.api, *login)
    api.sign_in()
    return api, ()


def _deployment(given: Installation, environ: Mapping[str, str]) -> tuple[Deployment, str]:
    if given.stop or given.start:
        return _own_commands(given), "by --stop and --start"
    kinds = [given.deployment] if given.deployment else _kinds_here(environ)
    if len(kinds) != 1:
        raise SettingsError(
            "deployment-unknown",
            "How Bytes is deployed cannot be guessed here."
            if not kinds
            else f"Bytes could be deployed as {' or as '.join(kinds)}.",
            why="A switch stops and starts Bytes, so it has to be unmistakable.",
            cure="Say it: --deployment debian, compose or kubernetes; or --stop COMMAND --start COMMAND --settings FILE.",
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
                "--settings does not name what Bytes has its environment from.",
                why="In Kubernetes, that is a Secret or a ConfigMap.",
                cure="Write --settings secret/NAME or --settings configmap/NAME.",
            )
        return SettingsObject(given.settings, deployment.namespace, options.state.path)
    if given.settings:
        return SettingsFile(Path(given.settings))
    return SettingsFile(DEBIAN_FILES[-1] if isinstance(deployment, Debian) else Path(os.getcwd()) / ".env")
