"""Bytes' environment as frozen values: layers of settings, and what they say about data folder and bucket names. Pure, but for the
Debian package's files, which are read where no setting is given.

Facts about Bytes' settings: ``bytes/config.py`` and ``bytes/raw/file_raw_repository.py`` of Bytes 1.18 to 1.20. What ``AWS_*`` say is
read in ``access.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from migrator.envfile import Setting, read_env_file
from migrator.errors import SettingsError
from migrator.model import Finding, FindingStatus
from migrator.naming import BucketPerOrganization, SingleBucket

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
    return {name: setting for setting in settings if (name := _known_name(setting.name))}


def _known_name(name: str) -> str | None:
    upper = name.upper()
    if upper.startswith("BYTES_MIGRATOR_"):
        return None
    if upper in BYTES_DEFAULTS or upper in OLD_NAMES or upper.startswith("BYTES_"):
        return upper
    return name if name.startswith("AWS_") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The layers of one Bytes' settings: defaults < process environment < each file in order < options."""

    process: Layer = field(default_factory=dict)
    files: tuple[Layer, ...] = ()
    options: Layer = field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.process, *self.files, self.options)

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


_TRUE = frozenset(("true", "1", "yes", "on", "t", "y"))
_FALSE = frozenset(("false", "0", "no", "off", "f", "n"))


def bucket_per_organization(environment: Environment) -> bool:
    """Read BUCKET_PER_ORG as pydantic does, true when unset; what Bytes would not start with is an error."""
    setting = environment.or_default(BUCKET_PER_ORG)
    word = setting.value.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise SettingsError(
        "bucket-per-org-invalid",
        f"BUCKET_PER_ORG={setting.value} ({setting.origin}) is neither true nor false.",
        why="Bytes itself would not start with it; an empty value is an error there too.",
        cure=f"Write {BUCKET_PER_ORG}=false for one bucket, {BUCKET_PER_ORG}=true for a bucket for each organization.",
    )


def s3_naming(environment: Environment) -> SingleBucket | BucketPerOrganization | None:
    """The naming strategy that Bytes would use; None when it would use its disk."""
    for_each = bucket_per_organization(environment)
    if not uses_s3(environment):
        return None
    setting = environment.or_default(BUCKET_PREFIX if for_each else BUCKET)
    if not setting.value:
        other = f"{BUCKET_PER_ORG}=false" if for_each else f"{BUCKET_PER_ORG}=true"
        raise SettingsError(
            "bucket-name-empty",
            f"{setting.name} is set to nothing ({setting.origin}), and it is what names the buckets here.",
            why=f"{BUCKET_PER_ORG} is {environment.or_default(BUCKET_PER_ORG).value}"
            f" ({environment.or_default(BUCKET_PER_ORG).origin}).",
            cure=f"Give {setting.name} a value, or set {other} if the other way of naming was meant.",
        )
    refuse_unexpanded(setting)
    return BucketPerOrganization(setting.value) if for_each else SingleBucket(setting.value)


def uses_s3(environment: Environment) -> bool:
    """Whether Bytes would use S3: either bucket setting is not empty."""
    return bool(environment.given(BUCKET) or environment.given(BUCKET_PREFIX))


def naming_findings(environment: Environment) -> tuple[Finding, ...]:
    """What an operator who followed the manual should know about the names that Bytes will really use."""
    findings = []
    bucket = environment.get(BUCKET)
    for_each = bucket_per_organization(environment)
    if bucket and bucket.value and environment.get(BUCKET_PER_ORG) is None:
        prefix = environment.or_default(BUCKET_PREFIX)
        findings.append(
            Finding(
                name="bucket-per-org-default",
                status=FindingStatus.WARNING,
                seen=f"{BUCKET}={bucket.value} ({bucket.origin}) without {BUCKET_PER_ORG}: Bytes does not use the bucket {bucket.value},"
                f" but a bucket for each organization, named {prefix.value}<organization>.",
                why=f"{BUCKET_PER_ORG} is true when it is not set; the manual reads as if it were false.",
                cure=f"If one bucket was meant, set {BUCKET_PER_ORG}=false; if not, set {BUCKET_PER_ORG}=true and {BUCKET_PREFIX}.",
            )
        )
    name = BUCKET_PREFIX if for_each else BUCKET
    if environment.get(name) is None:
        what = "the bucket names begin with" if for_each else "the bucket is named"
        wanted = "openkat-" if for_each else "openkat"
        findings.append(
            Finding(
                name="default-bucket-name",
                status=FindingStatus.WARNING,
                seen=f"{name} is not set, so {what} {BYTES_DEFAULTS[name]}, Bytes' default.",
                why="It has upper-case letters: AWS, SeaweedFS and MinIO refuse such a bucket name.",
                cure=f"Set {name} to a lower-case name, for example {name}={wanted}",
            )
        )
    return tuple(findings)


def permission(environment: Environment, name: str) -> int:
    """Read a mode as Bytes does, by ``int(value, 8)``."""
    setting = environment.or_default(name)
    try:
        mode = int(setting.value, 8)
    except ValueError:
        mode = -1
    if 0 <= mode <= 0o777:
        return mode
    raise SettingsError(
        "permission-invalid",
        f"{name}={setting.value} ({setting.origin}) is no permission.",
        why="Bytes reads it as an octal number; it lies between 0 and 777.",
        cure=f"Write for example {name}={BYTES_DEFAULTS[name]}",
    )


def data_dir(environment: Environment) -> Path:
    """The data folder; a relative one is relative to where Bytes was started, which nobody here knows."""
    setting = environment.or_default(DATA_DIR)
    refuse_unexpanded(setting)
    if setting.value.startswith("/"):
        return Path(setting.value)
    raise SettingsError(
        "data-dir-relative",
        f"{DATA_DIR}={setting.value} ({setting.origin}) is not an absolute path.",
        why="Bytes takes it from the folder in which Bytes itself was started, and does not expand '~'.",
        cure="Give the folder's full path, by --data-dir or in place of the word disk.",
    )


def refuse_unexpanded(setting: Setting) -> None:
    """Env files are read without interpolation, so a ``${NAME}`` would become part of a name."""
    if "${" in setting.value:
        raise SettingsError(
            "setting-not-expanded",
            f"{setting.name} ({setting.origin}) refers to another variable by '${{'.",
            why="Env files are read here as they stand; such references are not filled in.",
            cure=f"Write the value of {setting.name} out, or give it as an option.",
        )


DEBIAN_FILES = (Path("/usr/lib/kat/bytes.defaults"), Path("/etc/kat/bytes.conf"))
"""Where OpenKAT's Debian package keeps Bytes' settings; its systemd unit reads them in this order."""


def with_debian_files(environment: Environment, paths: Sequence[Path]) -> tuple[Environment, tuple[Finding, ...]]:
    """Read a Debian installation's settings, unless others are given."""
    reason = _first_given(environment)
    if reason is not None:
        there = [path for path in paths if os.path.isfile(path)]
        return environment, (_not_read(there, reason),) if there else ()
    read = {path: layer for path in paths if (layer := _debian_layer(path)) is not None}
    if not read:
        return environment, ()
    finding = Finding(
        name="debian-settings",
        status=FindingStatus.PASS,
        seen=f"Bytes' settings are read from {' and '.join(map(str, read))}.",
        why="No other settings were given, and these are the ones of the Debian package.",
    )
    return Environment(process=environment.process, files=tuple(read.values()), options=environment.options), (finding,)


def _first_given(environment: Environment) -> Setting | None:
    layers = (environment.process, environment.options)
    ours = (
        setting
        for layer in layers
        for name, setting in layer.items()
        if name in CARRIED_OVER or not name.startswith("AWS_")
    )
    return next(ours, None)


def _not_read(paths: Sequence[Path], reason: Setting) -> Finding:
    shown = " and ".join(map(str, paths))
    return Finding(
        name="debian-settings",
        status=FindingStatus.WARNING,
        seen=f"{shown} of the Debian package are not read.",
        why=f"They are read only where no setting is given, and {reason.name} is ({reason.origin}).",
        cure="To use them, add " + " ".join(f"--env-file {path}" for path in paths),
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
            cure="Run this as root or as the user kat, or give the settings by --env-file FILE.",
        ) from error
