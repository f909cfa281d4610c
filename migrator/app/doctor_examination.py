"""One examination by the doctor: what was asked for, what was found so far, and the client that asks a server."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from migrator.app.options import Options
from migrator.config.locations import Locations, S3Location
from migrator.config.settings_checks import profile_finding
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.findings import Finding
from migrator.doctor import finding_names
from migrator.doctor.finding_shorthands import failed
from migrator.stores.s3.probes.client import ProbeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """What the doctor was asked for: a probe that writes, and the version of Bytes, "" for the ones that are known.

    `read_through`: look whether nginx can read through to the data folder; `nginx_user`: whom it runs as, None for whom it is known to.
    """

    probe: bool = False
    bytes_version: str = ""
    read_through: bool = False
    nginx_user: str | None = None


@dataclass(slots=True, kw_only=True)
class Examination:
    """What was asked for, and what was found so far: `findings`, `buckets` and `nginx` as in `DoctorReport`."""

    locations: Locations
    options: Options
    wish: DoctorRequest
    run_id: str
    stack: ExitStack
    findings: list[Finding]
    buckets: list[tuple[str, str | None, bool | None]] = field(default_factory=list)
    nginx: tuple[str, ...] = ()


def endpoint_of(location: S3Location) -> str:
    """The server, as findings name it."""
    return location.access.endpoint_url or "AWS"


def asker_of(location: S3Location, found: Examination) -> ProbeClient | None:
    """Return a client for questions; None, with a finding, for credentials or settings with which none can be asked.

    Raises:
        SettingsError: If a setting is wrong.
    """
    try:
        asker = found.stack.enter_context(closing(ProbeClient(location.access)))
    except SettingsError:
        raise
    except MigratorError as error:
        found.findings.append(failed(finding_names.SERVER_REACHABLE, error.what, error.why, error.cure))
        return None
    by_files = profile_finding(asker.credentials_from)
    if by_files is not None:
        found.findings = [one for one in found.findings if one.name != finding_names.PROFILE_ONLY] + [by_files]
    return asker
