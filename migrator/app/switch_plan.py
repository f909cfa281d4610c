"""Plans a switch: everything that can be known and refused while Bytes runs. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.app.doctor import examine
from migrator.app.doctor_examination import DoctorRequest
from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import prepare_to_migrate
from migrator.app.migrating import new_run_id
from migrator.app.migrating import plan as plan_migration
from migrator.app.options import Options, Watch
from migrator.app.stopping import Stopping
from migrator.app.switch_proxy_plan import PlannedProxy, ProxyRequest, plan_proxy
from migrator.app.switch_request import SwitchRequest, ends_of, ends_of_plan, swapped
from migrator.app.switch_settings import refuse_other_bytes, refuse_other_place, wanted_for
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.audit.settings import login_of
from migrator.config.env_file import Setting
from migrator.config.environment import Environment, layer_of
from migrator.config.location_resolution import environment_of
from migrator.config.locations import Locations, Overrides, S3Location
from migrator.core.errors import CannotStart, SettingsError
from migrator.core.findings import FindingStatus
from migrator.core.outcomes import Outcome
from migrator.reports.report import Report
from migrator.reports.switch_report import SwitchProposal
from migrator.reports.text.doctor import DoctorReport
from migrator.switch.deployment import Compose
from migrator.switch.journal import Story, SwitchEnd, SwitchPlan
from migrator.switch.kubernetes import Kubernetes
from migrator.switch.parts import Parts
from migrator.switch.settings_edit import diff_lines, values_of
from migrator.switch.settings_store import SettingsStore, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A switch that can begin. `old` and `new` are the contents of Bytes' settings, secrets included; `api` None: no login.

    `proxy`: nginx that is to read through, None without. `reachable`: both ends as they can be reached before that is installed.
    """

    locations: Locations
    reachable: Locations
    prepared: Prepared
    parts: Parts
    plan: SwitchPlan
    old: bytes
    new: bytes
    settings: tuple[Setting, ...]
    api: BytesApi | None
    migration: Report
    proposal: SwitchProposal
    proxy: PlannedProxy | None = None

    @property
    def nginx(self) -> PlannedProxy:
        """Return nginx that is to read through.

        Raises:
            TypeError: If there is none: this is another switch.
        """
        if self.proxy is None:
            raise TypeError
        return self.proxy


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
    reads_through: ProxyRequest | None = None,
) -> Planned:
    """Look at everything that a switch needs. With `earlier`, plan the way back from that switch. Raises MigratorError.

    `reads_through`: have nginx read through, and switch Bytes first. nginx may not be there yet, so the target is looked at by the
    address that was given, and the switch is to nginx' address.

    Raises:
        CannotStart: If nginx would read through to raw files that are others at the target.
    """
    store = parts.store
    old = store.read()
    settings = store.settings(old)
    store.refuse_unwritable()
    if earlier is None:
        locations = ends_of(request, store, environ)
    else:
        locations = swapped(ends_of_plan(earlier.plan, store, environ))
    reachable, run, proxy = locations, new_run_id(), None
    if reads_through is not None:
        proxy = _planned_proxy(reads_through, locations, options, run)
        request = _through(request, locations, proxy)
        locations = ends_of(request, store, environ)
    mounts = isinstance(parts.deployment, Compose | Kubernetes)
    refuse_other_place(store, settings, locations.source, mounts_data=mounts, is_new=False)
    refuse_other_bytes(store, settings, parts.deployment)
    new, names = _new_settings(request, store, old, locations, earlier, mounts_data=mounts)
    refuse_other_place(store, store.settings(new), locations.target, mounts_data=mounts, is_new=True)
    api, unproven = signed_in(parts, settings, request, environ)
    began = time.monotonic()
    prepared = prepare_to_migrate(reachable, options, stopping)
    migration = plan_migration(prepared.locations, options, watch, stopping)
    listing_seconds = time.monotonic() - began
    if proxy is not None and (conflicts := migration.overall[Outcome.CONFLICT].files):
        raise CannotStart(
            "read-through-conflict",
            f"{conflicts} raw files at {locations.target} are others than in the data folder, which have the same names.",
            why="nginx asks S3 first, so Bytes would get that one.",
            cure="`bytes-migrator plan` with the same locations lists them. Bytes was not touched.",
        )
    locations = replace(prepared.locations, source=locations.source, target=locations.target)
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
        proxy=proxy.proxy.spec() if proxy is not None else {},
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
        listing_seconds=listing_seconds,
        unproven=unproven,
        api=parts.api,
        findings=(*(proxy.findings if proxy is not None else ()), *migration.findings),
        estimate=migration.estimate,
        proxy=proxy.proposal if proxy is not None else None,
    )
    return Planned(
        locations=locations,
        reachable=reachable,
        prepared=replace(prepared, locations=locations),
        parts=parts,
        plan=plan,
        old=old,
        new=new,
        settings=tuple(settings),
        api=api,
        migration=migration,
        proposal=proposal,
        proxy=proxy,
    )


def _planned_proxy(request: ProxyRequest, locations: Locations, options: Options, run: str) -> PlannedProxy:
    return plan_proxy(
        request, locations, options.state, run=run, creates_buckets=options.create_buckets, forced=options.forced
    )


def _through(request: SwitchRequest, locations: Locations, proxy: PlannedProxy) -> SwitchRequest:
    """Return the request with nginx' address as the endpoint, where the target was named by another one."""
    target = locations.target
    if isinstance(target, S3Location) and target.access.endpoint_url == proxy.endpoint_url:
        return request
    return replace(request, overrides=replace(request.overrides, endpoint_url=proxy.endpoint_url))


def refuse_what_doctor_refuses(locations: Locations, options: Options, *, probe: bool) -> DoctorReport:
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


def signed_in(
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
