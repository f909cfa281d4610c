"""Fills in the runbook."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from migrator.app.read_through import ReadThrough
from migrator.config.env_file_portability import form_finding
from migrator.config.locations import Location, Locations, S3Location, is_aws, settings_lines
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.findings import FindingStatus
from migrator.doctor.nginx_lines import nginx_lines, proxy_url
from migrator.doctor.server import raws_finding, version_finding
from migrator.reports.runbook import Deployment, Runbook
from migrator.stores.s3.probes.client import ProbeClient

REFUSING_SERVERS = ("seaweedfs", "minio", "rclone")
"""As their ``Server`` header says; rclone's says AmazonS3, as AWS's own does."""
_COMPOSE_FILES = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")


def runbook_of(
    locations: Locations,
    deployment: Deployment,
    *,
    words: tuple[str, ...],
    back: tuple[str, ...],
    env_files: Sequence[Path],
    bytes_version: str,
    can_verify: bool,
    reads: ReadThrough | None = None,
) -> Runbook:
    """Everything is filled in from the settings; a target on S3 is asked once what it is, and may be away. Writes nothing.

    `reads`: read-through is offered and wanted, so Bytes is switched before everything is copied.
    `env_files` are those whose lines are pasted, and the one that they are pasted into; files that do not exist are left out.
    """
    target = locations.target
    nginx: tuple[str, ...] = ()
    endpoint: str | None = None
    may_need = False
    if isinstance(target, S3Location):
        refuses = _refuses_a_second_create(target)
        may_need = refuses is None
        endpoint = target.access.endpoint_url
        nginx = nginx_lines(endpoint) if refuses and endpoint else ()
        nginx = reads.nginx if reads is not None else nginx
    through = proxy_url(endpoint) if endpoint and nginx else ""
    proxied = ("--endpoint-url", through) if nginx and not isinstance(locations.source, S3Location) else ()
    form = form_finding(env_files)
    version = version_finding(bytes_version) if bytes_version else None
    raws = raws_finding()
    return Runbook(
        deployment=deployment,
        source=str(locations.source),
        target=str(target),
        words=(*_without_endpoint(words, proxied), *proxied),
        back=(*_without_endpoint(back, proxied), *proxied),
        settings=_settings(target, through),
        old_settings=settings_lines(locations.source),
        nginx=nginx,
        proxy_url=through,
        may_need_nginx=may_need and not nginx,
        read_through=(reads.without, reads.commands) if reads is not None else None,
        to_s3=isinstance(target, S3Location),
        lost_on_s3=f"{raws.seen} {raws.why} {raws.cure}",
        can_verify=can_verify,
        form=(f"{form.seen} {form.why}", form.cure) if form else None,
        version=f"{version.seen} {version.why}" if version and version.status is not FindingStatus.PASS else "",
    )


def guessed_deployment(environ: Mapping[str, str], folder: str, debian_files: tuple[str, ...]) -> Deployment:
    """Return how Bytes is deployed, by what only one kind of deployment has.

    Raises:
        SettingsError: If nothing tells.
    """
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    if any(os.path.exists(path) for path in debian_files):
        return "debian"
    if any(os.path.exists(os.path.join(folder, name)) for name in _COMPOSE_FILES):
        return "compose"
    raise SettingsError(
        "deployment-unknown",
        "How Bytes is deployed is not clear here.",
        why="Here is no Debian package, Compose file or Kubernetes.",
        cure="Add --deployment debian, compose or kubernetes.",
    )


def _refuses_a_second_create(location: S3Location) -> bool | None:
    """Return whether the server is one that is known to, and to work behind nginx; None where it is not a known one.

    AWS takes the ``Host`` of a proxy for a bucket's name, so nginx's lines do not help there.
    """
    endpoint = location.access.endpoint_url
    if endpoint is None or is_aws(endpoint):
        return False
    try:
        with closing(ProbeClient(location.access)) as asker:
            answer = asker.ask("list_buckets", endpoint)
    except MigratorError:
        return None
    server = answer.headers.get("server", "").lower()
    if any(name in server for name in REFUSING_SERVERS) or "amazons3" in server:
        return True
    return None


def _settings(location: Location, through: str) -> tuple[str, ...]:
    """Return the lines for Bytes' env file; `through` is the proxy's URL, "" without one."""
    lines = settings_lines(location)
    if not through:
        return lines
    others = [
        line
        for line in lines
        if not line.startswith("AWS_ENDPOINT_URL=") and "remove the line AWS_ENDPOINT" not in line
    ]
    return (*others, f"AWS_ENDPOINT_URL={through}")


def _without_endpoint(words: tuple[str, ...], proxied: tuple[str, ...]) -> tuple[str, ...]:
    if not proxied or "--endpoint-url" not in words:
        return words
    at = words.index("--endpoint-url")
    return (*words[:at], *words[at + 2 :])
