"""Where Bytes reads raw files by its own settings, and whether those settings are known at all. `prune` must not guess it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from migrator.checks.audit.settings import DB_URI
from migrator.config.bytes_settings import uses_s3
from migrator.config.environment import BYTES_DEFAULTS, DATA_DIR, DEBIAN_FILES, Environment, with_debian_files
from migrator.config.location_resolution import active_locations, environment_of
from migrator.config.locations import Location, Overrides
from migrator.core.errors import SettingsError

_COMPOSE_FILES = ("compose.y*ml", "docker-compose*.y*ml", "podman-compose*.y*ml")


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesPlace:
    """Where Bytes reads by its settings alone, and where it would with this command's options as its settings.

    `is_known` is False where no setting says it. `in_container`: a data folder may be a path inside a container.
    """

    locations: tuple[Location, ...]
    environment: Environment
    is_known: bool
    in_container: bool


def bytes_place(
    env_files: Sequence[Path],
    overrides: Overrides,
    environ: Mapping[str, str],
    debian_files: Sequence[Path] = DEBIAN_FILES,
) -> BytesPlace:
    """Read Bytes' settings: environment, env files, or the Debian package's. Raises SettingsError for those that Bytes cannot use."""
    given = environment_of(env_files, overrides, environ)
    alone = Environment(process=given.process, files=given.files, options={})
    alone = with_debian_files(alone, debian_files)[0]
    # only Bytes has a database's URI: with it, the default data folder is what Bytes reads
    is_known = any(alone.given(name) for name in (DATA_DIR, DB_URI)) or uses_s3(alone)
    return BytesPlace(
        locations=active_locations(env_files, overrides, environ, debian_files) if is_known else (),
        environment=alone,
        is_known=is_known,
        in_container=_is_in_container(alone, debian_files),
    )


def unknown_settings() -> SettingsError:
    """Return the error for settings that do not say where Bytes reads."""
    return SettingsError(
        "bytes-settings-unknown",
        "Where Bytes reads raw files is unknown: none of its settings is given.",
        why="If it still reads the source, it would lose what is deleted there.",
        cure=f"Give the running Bytes' env file with --env-file FILE. It holds S3_BUCKET, S3_BUCKET_PREFIX or "
        f"{DATA_DIR}."
        " On Debian it is /etc/kat/bytes.conf. Nothing was deleted.",
    )


def _is_in_container(alone: Environment, debian_files: Sequence[Path]) -> bool:
    """Whether the data folder may be a path in a container: Compose hands Bytes its env file, and its default is the image's /data."""
    setting = alone.get(DATA_DIR)
    if setting is None:
        return True
    file, is_line, _ = setting.origin.rpartition(" line ")
    if is_line and Path(file) in debian_files:
        return False
    folder = Path(file).absolute().parent if is_line else None
    beside_compose = folder is not None and any(next(folder.glob(name), None) for name in _COMPOSE_FILES)
    return beside_compose or setting.value.rstrip("/") == BYTES_DEFAULTS[DATA_DIR]
