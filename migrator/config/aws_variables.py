"""Access to S3 from ``AWS_*`` settings, resolved as boto3 resolves them for Bytes. Pure.

Source: botocore 1.44, ``configprovider.py`` and ``credentials.py``, and ``boto3.Session().client("s3")`` tried with each variable.
``AWS_ENDPOINT_URL_S3`` comes before ``AWS_ENDPOINT_URL``, ``AWS_DEFAULT_PROFILE`` before ``AWS_PROFILE``, ``AWS_SECURITY_TOKEN`` before
``AWS_SESSION_TOKEN``, keys in the environment before a profile named there; ``AWS_REGION`` is ignored. Empty values count as not set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.config.endpoints import checked_endpoint, checked_region, refuse_broken_key
from migrator.config.env_file import Setting
from migrator.config.environment import (
    ACCESS_KEY_ID,
    CA_BUNDLE,
    CARRIED_OVER,
    CONFIG_FILE,
    ENDPOINT_URL,
    ENDPOINT_URLS,
    IGNORED_REGION,
    PROFILE,
    PROFILES,
    REGION,
    SECRET_ACCESS_KEY,
    SESSION_TOKENS,
    SHARED_CREDENTIALS_FILE,
    Environment,
    Layer,
    merged,
)
from migrator.config.locations import S3Access, Secret
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned


@dataclass(frozen=True, slots=True)
class ResolvedAccess:
    """Access to one S3 server, the settings that it comes from, and what to tell about them."""

    access: S3Access
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]


def resolve_access(environment: Environment) -> ResolvedAccess:
    """Resolve endpoint, region and keys; keys that only the process environment gives are left to boto3's own chain."""
    endpoint = _endpoint(environment)
    region = _region(environment)
    keys, profile = _identity(environment)
    files = {name: _unless_of_process(environment, name) for name in (CA_BUNDLE, CONFIG_FILE, SHARED_CREDENTIALS_FILE)}
    access = S3Access(
        endpoint_url=checked_endpoint(endpoint) if endpoint else None,
        region=region.value if region else None,
        profile=profile.value if profile else None,
        ca_bundle=_value(files[CA_BUNDLE]),
        config_file=_value(files[CONFIG_FILE]),
        shared_credentials_file=_value(files[SHARED_CREDENTIALS_FILE]),
        access_key_id=_value(keys.get(ACCESS_KEY_ID)),
        secret_access_key=_secret(keys.get(SECRET_ACCESS_KEY)),
        session_token=_secret(_first(keys, SESSION_TOKENS)),
    )
    used = [endpoint, region, profile, *keys.values(), *(_given(merged(environment.layers), name) for name in files)]
    if not keys and profile is None:
        used += _left_to_boto3(environment)
    return ResolvedAccess(access, tuple(setting for setting in used if setting), tuple(_findings(environment)))


def _given(layer: Layer, name: str) -> Setting | None:
    setting = layer.get(name)
    return setting if setting and setting.value else None


def _unless_of_process(environment: Environment, name: str) -> Setting | None:
    """The setting that wins; None where the process environment gives it, for boto3 takes it from there by itself."""
    setting = _given(merged(environment.layers), name)
    return None if setting is environment.process.get(name) else setting


def _first(layer: Layer, names: tuple[str, ...]) -> Setting | None:
    return next((setting for name in names if (setting := _given(layer, name))), None)


def _value(setting: Setting | None) -> str | None:
    return setting.value if setting else None


def _secret(setting: Setting | None) -> Secret | None:
    return Secret(setting.value) if setting else None


def _endpoint(environment: Environment) -> Setting | None:
    """Return the endpoint: of the options, else of the files, else of the process, else of the Debian package's files.

    Raises:
        SettingsError: If a file sets it to nothing and the environment around has one: it is unclear which is meant.
    """
    if ENDPOINT_URL in environment.options:
        return environment.options[ENDPOINT_URL]
    files = environment.from_files
    if found := _first(files, ENDPOINT_URLS):
        return found
    beneath = merged((*environment.package, environment.process))
    ignored = _given(beneath, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    if ignored and ignored.value.lower() == "true":
        return None
    outer = _first(environment.process, ENDPOINT_URLS) or _first(beneath, ENDPOINT_URLS)
    emptied = next((files[name] for name in ENDPOINT_URLS if name in files), None)
    if outer and emptied:
        raise SettingsError(
            "endpoint-emptied",
            f"{emptied.name} is set to nothing ({emptied.origin}), but {outer.name} is set ({outer.origin}).",
            why="Either AWS or the other endpoint may be meant.",
            cure=f"Remove {outer.name} there, or write the URL, for AWS https://s3.<region>.amazonaws.com",
        )
    return outer


def _region(environment: Environment) -> Setting | None:
    setting = environment.get(REGION)
    if setting and not setting.value:
        raise SettingsError(
            "aws-region-empty",
            f"{REGION} is set to nothing ({setting.origin}).",
            why="boto3 fails on the empty name, here and in Bytes.",
            cure=f"Unset {REGION} or give it a value, for example {REGION}=eu-west-1",
        )
    if setting:
        checked_region(setting)
    return setting


def _identity(environment: Environment) -> tuple[dict[str, Setting], Setting | None]:
    """Keys and profile, as far as boto3 would not find the same ones by itself.

    The option ``--profile`` comes before all keys; keys in env files before a profile in env files; either before the process environment,
    which is left to boto3; that before keys, then a profile, in the Debian package's files.
    """
    if option := _given(environment.options, PROFILE):
        return {}, option
    profile = _first(environment.from_files, PROFILES)
    for layer in reversed(environment.files):
        if keys := _keys_of(layer):
            return keys, profile
    if profile is not None:
        return {}, profile
    if _keys_of(environment.process) or _first(environment.process, PROFILES):
        return {}, None
    profile = _first(merged(environment.package), PROFILES)
    for layer in reversed(environment.package):
        if keys := _keys_of(layer):
            return keys, profile
    return {}, profile


def _keys_of(layer: Layer) -> dict[str, Setting]:
    """Return the pair of keys that a layer gives together, with its own session token; {} if it gives none.

    Raises:
        SettingsError: If it gives only one of the pair, or a key that cannot be sent.
    """
    key, secret = _given(layer, ACCESS_KEY_ID), _given(layer, SECRET_ACCESS_KEY)
    there = key or secret
    if there is None:
        return {}
    if key is None or secret is None:
        missing = SECRET_ACCESS_KEY if key else ACCESS_KEY_ID
        raise SettingsError(
            "aws-keys-half-set",
            f"{there.name} is set ({there.origin}), {missing} is not.",
            why="They belong together, in one place.",
            cure=f"Set {missing} where {there.name} is set, or remove {there.name} to use a profile or role.",
        )
    token = _first(layer, SESSION_TOKENS)
    found = [setting for setting in (key, secret, token) if setting]
    for setting in found:
        refuse_broken_key(setting)
    return {setting.name: setting for setting in found}


def _left_to_boto3(environment: Environment) -> Iterator[Setting]:
    """What boto3 will take from the process environment by itself."""
    if _given(environment.process, ACCESS_KEY_ID):
        yield from _keys_of(environment.process).values()
    elif profile := _first(environment.process, PROFILES):
        yield profile


def _findings(environment: Environment) -> Iterator[Finding]:
    lost = [
        setting
        for layer in (*environment.package, *environment.files)
        for setting in layer.values()
        if _is_lost(setting, layer, environment.process)
    ]
    if lost:
        names = ", ".join(f"{setting.name} ({setting.origin})" for setting in lost)
        yield warned(
            "aws-setting-not-applied",
            f"Set in an env file, but without effect here: {names}.",
            "boto3 takes these settings only from the environment, and a session token only beside its keys.",
            "Export it, if it is needed.",
        )
    ignored = environment.get(IGNORED_REGION)
    if ignored and ignored.value and environment.get(REGION) is None:
        yield warned(
            "aws-region-ignored",
            f"{IGNORED_REGION}={ignored.value} ({ignored.origin}) has no effect.",
            f"boto3, and so Bytes, reads {REGION} and ignores {IGNORED_REGION}.",
            f"If that region was meant, set {REGION}={ignored.value}",
        )


def _is_lost(setting: Setting, layer: Layer, process: Layer) -> bool:
    name = setting.name
    if not setting.value or not name.startswith("AWS_"):
        return False
    if name in SESSION_TOKENS:
        return _given(layer, ACCESS_KEY_ID) is None
    if name in CARRIED_OVER or name == IGNORED_REGION or name.startswith(f"{ENDPOINT_URL}_"):
        return False
    return name not in process or process[name].value != setting.value
