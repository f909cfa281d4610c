"""Bytes' environment as frozen values: layers of settings, and what they say about data folder and bucket names.

Pure, but for the Debian package's files, which are read wherever they exist.

Facts about Bytes' settings: ``bytes/config.py`` and ``bytes/raw/file_raw_repository.py`` of Bytes 1.18 to 1.20. What ``AWS_*`` say is
read in ``aws_variables.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrator.config.env_file import Setting, read_env_file
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket
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


_TRUE = frozenset(("true", "1", "yes", "on", "t", "y"))
_FALSE = frozenset(("false", "0", "no", "off", "f", "n"))


def bucket_per_organization(environment: Environment) -> bool:
    """Read BUCKET_PER_ORG as pydantic does, true when unset.

    Raises:
        SettingsError: If the value is neither true nor false: Bytes would not start with it.
    """
    setting = environment.or_default(BUCKET_PER_ORG)
    word = setting.value.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise SettingsError(
        "bucket-per-org-invalid",
        f"BUCKET_PER_ORG={setting.value} ({setting.origin}) is neither true nor false.",
        why="Bytes would not start with it, nor with an empty value.",
        cure=f"Write {BUCKET_PER_ORG}=false for one bucket, {BUCKET_PER_ORG}=true for a bucket for each organization.",
    )


def s3_naming(environment: Environment) -> Naming | None:
    """Return the naming strategy that Bytes would use; None when it would use its disk.

    Raises:
        SettingsError: If BUCKET_PER_ORG is invalid, or the setting that names the buckets is empty, not expanded, or a
            URL.
    """
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
            cure=f"Give {setting.name} a value, or set {other} if that naming was meant.",
        )
    refuse_unexpanded(setting)
    _refuse_url(setting)
    return BucketPerOrganization(setting.value) if for_each else SingleBucket(setting.value)


def _refuse_url(setting: Setting) -> None:
    """Refuse a URL as a bucket's name, which becomes part of all that is shown.

    Raises:
        SettingsError: If the name has '@', '/', '?' or ':' in it.
    """
    if not re.search(r"[@/?:]", setting.value):
        return
    raise SettingsError(
        "bucket-name-url",
        f"{setting.name} ({setting.origin}) is no bucket's name: it has '/', ':', '?' or '@' in it.",
        why="Bytes takes it as it is. It is not shown, since it may hold a login.",
        cure=f"Give {setting.name} the name alone; the server is AWS_ENDPOINT_URL, keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )


def uses_s3(environment: Environment) -> bool:
    """Whether Bytes would use S3: either bucket setting is not empty."""
    return bool(environment.given(BUCKET) or environment.given(BUCKET_PREFIX))


def naming_findings(environment: Environment) -> Iterator[Finding]:
    """What an operator who followed the manual should know about the names that Bytes will really use."""
    bucket = environment.get(BUCKET)
    for_each = bucket_per_organization(environment)
    if bucket and bucket.value and environment.get(BUCKET_PER_ORG) is None:
        prefix = environment.or_default(BUCKET_PREFIX)
        yield warned(
            "bucket-per-org-default",
            f"{BUCKET}={bucket.value} ({bucket.origin}) without {BUCKET_PER_ORG}: Bytes does not use the bucket {bucket.value},"
            f" but a bucket for each organization, named {prefix.value}<organization>.",
            f"{BUCKET_PER_ORG} is true when it is not set; the manual reads as if it were false.",
            f"If one bucket was meant, set {BUCKET_PER_ORG}=false; if not, set {BUCKET_PER_ORG}=true and {BUCKET_PREFIX}.",
        )
    name = BUCKET_PREFIX if for_each else BUCKET
    if environment.get(name) is None:
        what = "the bucket names begin with" if for_each else "the bucket is named"
        wanted = "openkat-" if for_each else "openkat"
        yield warned(
            "default-bucket-name",
            f"{name} is not set, so {what} {BYTES_DEFAULTS[name]}, Bytes' default.",
            "AWS, SeaweedFS and MinIO refuse its upper-case letters.",
            f"Set {name} to a lower-case name, for example {name}={wanted}",
        )


def permission(environment: Environment, name: str) -> int:
    """Return a mode as Bytes reads it, by ``int(value, 8)``.

    Raises:
        SettingsError: If it is no octal number from 0 to 777.
    """
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
        why="Bytes reads an octal number between 0 and 777.",
        cure=f"Write {name}={BYTES_DEFAULTS[name]}",
    )


def data_dir(environment: Environment) -> Path:
    """Return the data folder as an absolute path.

    A relative one would be relative to where Bytes was started, which nobody here knows.

    Raises:
        SettingsError: If it is relative, has control characters, or refers to another variable.
    """
    setting = environment.or_default(DATA_DIR)
    refuse_unexpanded(setting)
    if any(character < " " or character == "\x7f" for character in setting.value):
        raise SettingsError(
            "data-dir-characters",
            f"{DATA_DIR} ({setting.origin}) holds a line feed or another control character.",
            why="Bytes takes it as part of the name. `echo` adds a line feed.",
            cure=f"Set {DATA_DIR} anew without it.",
        )
    if setting.value.startswith("/"):
        return Path(setting.value)
    raise SettingsError(
        "data-dir-relative",
        f"{DATA_DIR}={setting.value} ({setting.origin}) is not an absolute path.",
        why="Bytes resolves it where it was started, and does not expand '~'.",
        cure="Give the full path, with --data-dir or in place of the word disk.",
    )


def refuse_unexpanded(setting: Setting) -> None:
    """Refuse a ``${NAME}`` in a value: env files are read without interpolation, so it would become part of a name.

    Raises:
        SettingsError: If the value holds ``${``.
    """
    if "${" in setting.value:
        raise SettingsError(
            "setting-not-expanded",
            f"{setting.name} ({setting.origin}) refers to another variable by '${{'.",
            why="Env files are read as they stand.",
            cure=f"Write the value of {setting.name} out, or give it as an option.",
        )


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
