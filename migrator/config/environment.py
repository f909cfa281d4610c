"""Bytes' environment as frozen values: the settings' names and defaults, and the layers in which they are given.

Pure, but for the Debian package's files, which are read wherever they exist. Facts: ``bytes/config.py`` of Bytes 1.18 to 1.20. What the
settings say is read in ``bytes_settings.py``, ``AWS_*`` in ``aws_variables.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrator.config.env_file import Setting, read_env_file
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor.finding_shorthands import warned

DATA_DIR = "BYTES_DATA_DIR"
FOLDER_PERMISSION = "BYTES_FOLDER_PERMISSION"
FILE_PERMISSION = "BYTES_FILE_PERMISSION"
BUCKET = "S3_BUCKET"
BUCKET_PREFIX = "S3_BUCKET_PREFIX"
BUCKET_PER_ORG = "BUCKET_PER_ORG"
BYTES_DEFAULTS: Mapping[str, str] = {
    DATA_DIR: "/data",
    FOLDER_PERMISSION: "740",
    FILE_PERMISSION: "640",
    BUCKET: "OpenKAT",
    BUCKET_PREFIX: "OpenKAT-",
    BUCKET_PER_ORG: "true",
}
DEFAULT_ORIGIN = "Bytes' default"
OLD_NAMES: Mapping[str, str] = {
    "ENCRYPTION_MIDDLEWARE": "BYTES_ENCRYPTION_MIDDLEWARE",
    "HASHING_ALGORITHM": "BYTES_HASHING_ALGORITHM",
    "KAT_PRIVATE_KEY_B64": "BYTES_PRIVATE_KEY_B64",
    "VWS_PUBLIC_KEY_B64": "BYTES_PUBLIC_KEY_B64",
}
"""Older names that Bytes still reads, in any case, where the new name is not set at all (``BackwardsCompatibleEnvSettings`` in
``bytes/config.py``): a new name that is set to nothing wins too."""
_OLD_NAME_OF = {new: old for old, new in OLD_NAMES.items()}

ENDPOINT_URL = "AWS_ENDPOINT_URL"
ENDPOINT_URLS = ("AWS_ENDPOINT_URL_S3", ENDPOINT_URL)
ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a variable's name
SESSION_TOKENS = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
REGION = "AWS_DEFAULT_REGION"
IGNORED_REGION = "AWS_REGION"
PROFILE = "AWS_PROFILE"
PROFILES = ("AWS_DEFAULT_PROFILE", PROFILE)
CA_BUNDLE = "AWS_CA_BUNDLE"
CONFIG_FILE = "AWS_CONFIG_FILE"
SHARED_CREDENTIALS_FILE = "AWS_SHARED_CREDENTIALS_FILE"
CARRIED_OVER = frozenset(
    (
        *(*ENDPOINT_URLS, ACCESS_KEY_ID, SECRET_ACCESS_KEY, *SESSION_TOKENS, REGION, *PROFILES),
        *(CA_BUNDLE, CONFIG_FILE, SHARED_CREDENTIALS_FILE),
    )
)


Layer = Mapping[str, Setting]


def layer_of(settings: Iterable[Setting]) -> dict[str, Setting]:
    """The settings that matter, by name; the last of a name wins.

    Bytes' own names hold in any case, as pydantic reads them, ``AWS_*`` only as written. ``BYTES_MIGRATOR_*`` are this program's options.
    """
    return {name: setting for setting in settings if (name := known_name(setting.name))}


def known_name(name: str) -> str | None:
    """Return the name by which Bytes or boto3 knows a setting; None for a setting of neither."""
    upper = name.upper()
    if upper.startswith("BYTES_MIGRATOR_"):
        return None
    if upper in BYTES_DEFAULTS or upper in OLD_NAMES or upper.startswith("BYTES_"):
        return upper
    return name if name.startswith("AWS_") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The layers of one Bytes' settings: defaults < Debian package's files < process environment < each file in order < options."""

    package: tuple[Layer, ...] = ()
    process: Layer = field(default_factory=dict)
    files: tuple[Layer, ...] = ()
    options: Layer = field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return all layers, the weakest first: Debian's package files, the process, env files, options."""
        return (*self.package, self.process, *self.files, self.options)

    @property
    def from_files(self) -> Layer:
        """What the files say together, as a process sees it that is started with them."""
        return merged(self.files)

    def get(self, name: str) -> Setting | None:
        """The setting that wins, by its new or its old name; None if only Bytes' default holds."""
        together = merged(self.layers)
        return together.get(name) or together.get(_OLD_NAME_OF.get(name, ""))

    def or_default(self, name: str) -> Setting:
        """The setting that wins, or Bytes' default."""
        return self.get(name) or Setting(name, BYTES_DEFAULTS[name], DEFAULT_ORIGIN)

    def given(self, name: str) -> str | None:
        """The value that wins; None if it is empty or not set."""
        setting = self.get(name)
        return setting.value or None if setting else None


def merged(layers: Iterable[Layer]) -> Layer:
    """Lay each layer over those before it."""
    return {name: setting for layer in layers for name, setting in layer.items()}


DEBIAN_FILES = (Path("/usr/lib/kat/bytes.defaults"), Path("/etc/kat/bytes.conf"))
"""Where OpenKAT's Debian package keeps Bytes' settings; its systemd unit reads them in this order."""


BACKUP_MARK = ".before-switch-"
"""Part of the name of a settings file's backup, between the file's own name and the run that made it."""


def beneath(path: Path, debian_files: Sequence[Path]) -> tuple[Path, ...]:
    """Return the existing files that the package's systemd unit reads before this one; none where it is not one of the package's."""
    for position, one in enumerate(debian_files):
        is_backup = path.parent == one.parent and path.name.startswith(f"{one.name}{BACKUP_MARK}")
        if is_backup or (os.path.exists(one) and os.path.samefile(one, path)):
            return tuple(before for before in debian_files[:position] if os.path.exists(before))
    return ()


def with_debian_files(environment: Environment, paths: Sequence[Path]) -> tuple[Environment, tuple[Finding, ...]]:
    """Lay a Debian installation's settings beneath all others. Files that do not exist are left out.

    Raises SettingsError for one that cannot be read or understood: without it, nobody knows where Bytes looks.
    """
    read = {path: layer for path in paths if (layer := _debian_layer(path)) is not None}
    if not read:
        return environment, ()
    package = tuple(read.values())
    return replace(environment, package=package), (_debian_finding(list(read), merged(package), environment.process),)


def _debian_finding(paths: Sequence[Path], package: Layer, process: Layer) -> Finding:
    """What was read, and which of it this process's own environment replaces: Bytes' service does not see that one."""
    shown = " and ".join(map(str, paths))
    replaced = [name for name, setting in package.items() if name in process and process[name].value != setting.value]
    if not replaced:
        return Finding(
            name="debian-settings",
            status=FindingStatus.PASS,
            seen=f"Bytes' settings are read from {shown}.",
            why="These are the files of the Debian package.",
        )
    return warned(
        "debian-settings",
        f"{', '.join(replaced)} of the environment replaces what {shown} says.",
        "Bytes' service reads these files, not this command's environment.",
        f"To use Bytes' own settings: unset {' '.join(replaced)}",
    )


def _debian_layer(path: Path) -> dict[str, Setting] | None:
    try:
        return layer_of(read_env_file(path))
    except SettingsError as error:
        if error.name == "env-file-missing":
            return None
        if error.name != "env-file-unreadable":
            raise
        raise SettingsError(
            "debian-settings-unreadable",
            f"Bytes' settings in {path} cannot be read.",
            why=error.why,
            cure=("Run this as root or as kat; or name both locations by path or env file."),
        ) from error
