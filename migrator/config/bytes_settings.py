"""What Bytes' settings say: its data folder and modes, whether it uses S3, and how it names buckets.

Facts about Bytes' settings: ``bytes/config.py`` and ``bytes/raw/file_raw_repository.py`` of Bytes 1.18 to 1.20.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from migrator.config.env_file import Setting
from migrator.config.environment import BUCKET, BUCKET_PER_ORG, BUCKET_PREFIX, BYTES_DEFAULTS, DATA_DIR, Environment
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket
from migrator.doctor.finding_shorthands import warned

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
