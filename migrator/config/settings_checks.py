"""A look at settings that do not do what their author may think.

Mistyped names, values that only boto3's profiles give, and secrets that anybody may read.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from migrator.config.bytes_settings import bucket_per_organization, uses_s3
from migrator.config.env_file import Setting
from migrator.config.env_file_portability import form_finding
from migrator.config.environment import (
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    BYTES_DEFAULTS,
    CARRIED_OVER,
    DATA_DIR,
    ENDPOINT_URLS,
    IGNORED_REGION,
    PROFILES,
    Environment,
)
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.core.redaction import HIDDEN
from migrator.doctor import finding_names as names
from migrator.doctor.finding_shorthands import some_of, warned

ALL_WELL = {
    names.SETTING_NAMES: "No setting has a name that looks mistyped.",
    names.PROFILE_ONLY: "No setting comes from a profile of this user alone.",
    names.SECRETS_READABLE: "No env file with secrets can be read by everybody.",
    names.ENV_FILE_FORM: "systemd, Docker Compose and kubectl read every env file alike, and each ends with a newline.",
    names.BUCKET_PER_ORG_DEFAULT: "BUCKET_PER_ORG is set, or S3_BUCKET is not: the buckets are named as the settings read.",
    names.DEFAULT_BUCKET_NAME: "The buckets have names of their own, not Bytes' default with its upper case.",
    names.AWS_REGION_IGNORED: "The region is not set by AWS_REGION alone, which boto3 ignores.",
    names.AWS_SETTING_NOT_APPLIED: "Every AWS setting of the env files has its effect.",
}
"""What is told by each finding about settings that did not fire."""
DEPRECATED = {
    "AWS_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_S3_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_S3_ENDPOINT_URL": "AWS_ENDPOINT_URL_S3",
    "S3_ENDPOINT": "AWS_ENDPOINT_URL",
    "S3_ENDPOINT_URL": "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "AWS_BUCKET": "S3_BUCKET",
    "S3_BUCKET_NAME": "S3_BUCKET",
    "S3_PREFIX": "S3_BUCKET_PREFIX",
    "BUCKET_PREFIX": "S3_BUCKET_PREFIX",
    "S3_BUCKET_PER_ORG": "BUCKET_PER_ORG",
    "BUCKET_PER_ORGANIZATION": "BUCKET_PER_ORG",
    "BYTES_DATA": "BYTES_DATA_DIR",
}
"""Names that other tools know, or that are near by: neither Bytes nor boto3 reads them."""
_MEANT = (*BYTES_DEFAULTS, *CARRIED_OVER, IGNORED_REGION)
_FAMILIES = ("S3_", "AWS_", "BUCKET_")
_NEAR = 0.88
_ALIKE = 0.65
_SECRETS = ("SECRET", "PASSWORD", "PRIVATE_KEY")


def check_settings(
    environ: Mapping[str, str], read: Sequence[tuple[Path, Sequence[Setting]]], used: Iterable[Setting]
) -> Iterator[Finding]:
    """Yield what is odd. `read` are the env files with all that they set, `used` the settings in effect."""
    all_settings = [Setting(name, value, "environment") for name, value in environ.items()]
    all_settings += [setting for _, settings in read for setting in settings]
    with_secrets = [path for path, settings in read if any(_is_secret(one) for one in settings)]
    found = (_names(all_settings), _profile(used), form_finding([path for path, _ in read]), _secrets(with_secrets))
    yield from (one for one in found if one is not None)


def _names(settings: Sequence[Setting]) -> Finding | None:
    set_names = {setting.name for setting in settings}
    found = [(one, meant) for one in settings if one.value and (meant := _meant(one.name)) and meant not in set_names]
    if not found:
        return None
    return warned(
        names.SETTING_NAMES,
        f"Unknown settings, ignored: {some_of([f'{one.name} ({one.origin}): {meant} is what is read' for one, meant in found])}.",
        "Neither Bytes nor boto3 knows these names.",
        f"Rename: {some_of([f'{one.name} to {meant}' for one, meant in found])}",
    )


def _meant(name: str) -> str:
    """The name that was meant, "" for one that is known or of something else."""
    upper = name.upper()
    if upper in BYTES_DEFAULTS or name in _MEANT or name.startswith(("AWS_ENDPOINT_URL_", "BYTES_MIGRATOR_")):
        return ""
    if upper in DEPRECATED:
        return DEPRECATED[upper]
    if not upper.startswith(_FAMILIES) and not upper.startswith("BYTES_DATA"):
        return ""
    near = difflib.get_close_matches(upper, _MEANT, n=1, cutoff=_NEAR)
    return near[0] if near and near[0] not in PROFILES else ""


def refuse_mistyped_place(path: Path, environment: Environment, settings: Sequence[Setting]) -> None:
    """Refuse an env file, given as a location, that does not say where Bytes will store.

    `settings` are all that the file sets, `environment` has it as its files. One name that is nearly one of Bytes'
    makes Bytes store elsewhere, by a default: the wrong place, with nothing that fails.

    Raises:
        SettingsError: If a name is nearly one of Bytes', or if none of the file's names says where raw files are.
    """
    place = _names_of_the_place(environment)
    given = {name for layer in environment.files for name in layer}
    for setting in settings:
        meant = _meant(setting.name)
        if meant in place and meant not in given and setting.value:
            raise SettingsError(
                "env-file-name-mistyped",
                f"{path} sets {setting.name} ({setting.origin}), which neither Bytes nor boto3 reads.",
                why=f"{meant} is probably meant; without it, Bytes stores elsewhere than this file seems to say.",
                cure=f"Rename {setting.name} to {meant}, or remove it from the file.",
            )
    if uses_s3(environment) or DATA_DIR in given:
        return
    closest = _closest([setting.name for setting in settings])
    raise SettingsError(
        "env-file-without-place",
        f"{path} does not say where Bytes stores raw files.",
        why=f"Neither {BUCKET}, {BUCKET_PREFIX} nor {DATA_DIR} has a value in it.{closest}",
        cure=f"Set {DATA_DIR} for a disk; {BUCKET} and {BUCKET_PER_ORG}=false for one bucket; {BUCKET_PREFIX} and {BUCKET_PER_ORG}=true"
        " for a bucket for each organization. Or name the folder by its path.",
    )


def _names_of_the_place(environment: Environment) -> tuple[str, ...]:
    """The settings that decide, with the others as they are, where Bytes stores."""
    if not uses_s3(environment):
        return (BUCKET, BUCKET_PREFIX, DATA_DIR)
    return (BUCKET_PREFIX if bucket_per_organization(environment) else BUCKET, BUCKET_PER_ORG, *ENDPOINT_URLS)


def _closest(names: Sequence[str]) -> str:
    """A sentence on the name that comes closest to one that would say it; "" where none does."""
    for name in names:
        near = difflib.get_close_matches(name.upper(), (BUCKET, BUCKET_PREFIX, DATA_DIR), n=1, cutoff=_ALIKE)
        if near:
            return f" {name} is set to nothing." if name.upper() == near[0] else f" It has {name}: is {near[0]} meant?"
    return ""


FILES_OF_A_USER = ("shared-credentials-file", "config-file", "custom-process", "sso", "login", "assume-role")
"""How botocore calls it when keys come from AWS configuration files."""


def profile_finding(method: str) -> Finding | None:
    """Keys that no setting gave and that botocore found in files of this user; None for other keys."""
    if method not in FILES_OF_A_USER:
        return None
    return warned(
        names.PROFILE_ONLY,
        f"The keys come from AWS configuration files ({method}), not from a setting.",
        _WHY_NOT_PROFILES,
        _CURE_OF_PROFILES,
    )


_WHY_NOT_PROFILES = "They are in this user's home folder; Bytes' service user may have none."
_CURE_OF_PROFILES = (
    "Give Bytes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION,"
    " or put the files where Bytes' user finds them."
)


def _profile(used: Iterable[Setting]) -> Finding | None:
    profile = next(
        (
            setting
            for setting in used
            if setting.name in (*PROFILES, "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
            and setting.value != os.devnull  # that turns the files off
        ),
        None,
    )
    if profile is None:
        return None
    return warned(
        names.PROFILE_ONLY,
        f"{profile.name}={profile.shown} ({profile.origin}): keys and region come from AWS configuration files.",
        _WHY_NOT_PROFILES,
        _CURE_OF_PROFILES,
    )


def _is_secret(setting: Setting) -> bool:
    return bool(setting.value) and (setting.shown == HIDDEN or any(word in setting.name.upper() for word in _SECRETS))


def _secrets(paths: Sequence[Path]) -> Finding | None:
    open_ones = []
    for path in dict.fromkeys(paths):
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            open_ones.append(str(path))
    if not open_ones:
        return None
    return warned(
        names.SECRETS_READABLE,
        f"Secrets in {some_of(open_ones)} can be read by every user of this machine.",
        "Whoever has the key has the raw files.",
        f"chmod o-rwx {' '.join(open_ones)}",
    )
