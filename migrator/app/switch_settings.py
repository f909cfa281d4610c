"""Which of Bytes' settings a switch changes, and whether they then say what is meant. Pure but for the env file that names the target."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from migrator.config.env_file import Setting, read_env_file
from migrator.config.environment import (
    ACCESS_KEY_ID,
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    BYTES_DEFAULTS,
    CA_BUNDLE,
    DATA_DIR,
    DEBIAN_FILES,
    ENDPOINT_URL,
    ENDPOINT_URLS,
    FILE_PERMISSION,
    FOLDER_PERMISSION,
    PROFILE,
    REGION,
    SECRET_ACCESS_KEY,
    SESSION_TOKENS,
    beneath,
    known_name,
    layer_of,
)
from migrator.config.location_resolution import location_by_settings
from migrator.config.locations import DiskLocation, Location, S3Location, endpoint_identity
from migrator.core.errors import CannotStart, MustStop, SettingsError
from migrator.core.naming import SingleBucket
from migrator.switch.deployment import Deployment
from migrator.switch.settings_edit import Wanted
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import SettingsStore

_NAMES = (BUCKET, BUCKET_PREFIX, BUCKET_PER_ORG)
_OF_DISK = (DATA_DIR, FOLDER_PERMISSION, FILE_PERMISSION)
_COMPARED = (*_NAMES, *ENDPOINT_URLS, DATA_DIR)
"""What is compared between the settings and the environment of the running Bytes."""


def wanted_for(target: Location, word: str | None, now: Sequence[Setting], *, mounts_data: bool) -> Wanted:
    """Return the settings that change so that Bytes uses this target.

    `word` is what named it; an env file gives its own values. `mounts_data`: Bytes' data folder has another path within its container, so
    it is not touched. Raises SettingsError for an env file with lines that a switch would not take over.
    """
    present = layer_of(now)
    given = _given_by_file(Path(word), present) if word and os.path.isfile(word) else dict(_given_by(target))
    names = [*_NAMES, *([] if mounts_data else [name for name in _OF_DISK if name in given])]
    if isinstance(target, S3Location):
        _refuse_another_folder(given, present, word)
        given |= _endpoint_of(target, given)
        names += [name for name in given if name.startswith("AWS_")]
        names += [name for name in (*ENDPOINT_URLS, *SESSION_TOKENS) if name in present and name not in given]
    wanted = {name: given.get(name) for name in dict.fromkeys(names)}
    if isinstance(target, DiskLocation):
        wanted |= dict.fromkeys(_NAMES)
    return {name: value for name, value in wanted.items() if value is not None or name in present}


def _refuse_another_folder(given: Mapping[str, str], present: Mapping[str, Setting], word: str | None) -> None:
    """Refuse a target on S3 whose env file names another data folder too: without S3, Bytes would look there.

    Raises:
        SettingsError: If so.
    """
    now = present[DATA_DIR].value if DATA_DIR in present else BYTES_DEFAULTS[DATA_DIR]
    if given.get(DATA_DIR, now) != now:
        raise SettingsError(
            "switch-two-places",
            f"{word} names buckets, and another data folder than Bytes has: {given[DATA_DIR]}, not {now}.",
            why="Bytes would use the buckets. Going back to disk by hand later, it would look in a folder without raw files.",
            cure=f"Take {DATA_DIR} out of the file, or the S3 settings.",
        )


def _endpoint_of(target: S3Location, given: Mapping[str, str]) -> dict[str, str]:
    """Return the endpoint, where it was named by an option, or is nginx' own, and the env file says another one."""
    url = target.access.endpoint_url
    known = next((name for name in ENDPOINT_URLS if name in given), ENDPOINT_URL)
    if url is None or endpoint_identity(given.get(known)) == endpoint_identity(url):
        return {}
    return dict.fromkeys([name for name in ENDPOINT_URLS if name in given] or [ENDPOINT_URL], url)


def _given_by_file(path: Path, present: Mapping[str, Setting]) -> dict[str, str]:
    settings = read_env_file(path)
    places = {*_NAMES, *_OF_DISK}
    unknown = [
        one.name
        for one in settings
        if not ((name := known_name(one.name)) and (name in places or name.startswith("AWS_")))
        and (name is None or name not in present or present[name].value != one.value)
    ]
    if unknown:
        raise SettingsError(
            "switch-unknown-lines",
            f"{path} also sets {', '.join(dict.fromkeys(unknown))}, which a switch does not change.",
            why="A switch changes only where raw files are: S3_BUCKET, S3_BUCKET_PREFIX, BUCKET_PER_ORG, BYTES_DATA_DIR and AWS_…",
            cure="Remove these lines, or put them into Bytes' settings yourself first.",
        )
    return {name: one.value for name, one in layer_of(settings).items() if name in places or name.startswith("AWS_")}


def _given_by(target: Location) -> Iterator[tuple[str, str]]:
    if isinstance(target, DiskLocation):
        yield DATA_DIR, str(target.root)
        return
    if isinstance(target.naming, SingleBucket):
        yield BUCKET, target.naming.bucket
        yield BUCKET_PER_ORG, "false"
    else:
        yield BUCKET_PREFIX, target.naming.prefix
        yield BUCKET_PER_ORG, "true"
    access = target.access
    secrets = {SECRET_ACCESS_KEY: access.secret_access_key, SESSION_TOKENS[-1]: access.session_token}
    known = {ENDPOINT_URL: access.endpoint_url, REGION: access.region, CA_BUNDLE: access.ca_bundle}
    known |= {PROFILE: access.profile, ACCESS_KEY_ID: access.access_key_id}
    known |= {name: secret.reveal() for name, secret in secrets.items() if secret is not None}
    for name, value in known.items():
        if value is not None:
            yield name, value


def refuse_other_place(
    store: SettingsStore, settings: Sequence[Setting], location: Location, *, mounts_data: bool, is_new: bool
) -> None:
    """Refuse settings by which Bytes would look elsewhere than at this location.

    Raises:
        SettingsError: If they name another place; `is_new` tells which settings they are, for the message.
    """
    package = beneath(store.path, DEBIAN_FILES) if isinstance(store, SettingsFile) else ()
    found = location_by_settings(settings, package)
    if found.identity == location.identity:
        return
    if mounts_data and isinstance(found, DiskLocation) and isinstance(location, DiskLocation):
        return
    if is_new:
        raise SettingsError(
            "switch-settings-elsewhere",
            f"With the changed lines, Bytes would look at {found}, and not at {location}.",
            why=f"Other lines of {store.where} name the place too.",
            cure="Name the target by an env file with all its lines.",
        )
    raise SettingsError(
        "switch-settings-elsewhere",
        f"{store.where} says that Bytes looks at {found}; the switch is from {location}.",
        why="Another place would be copied than Bytes reads.",
        cure="Leave --from out, or name the settings that Bytes starts with by --settings.",
    )


def refuse_other_bytes(store: SettingsStore, settings: Sequence[Setting], deployment: Deployment) -> None:
    """Refuse a running Bytes that was started with other settings; what cannot be seen is not compared.

    Raises:
        CannotStart: If one of the settings that name the place differs.
    """
    differs = _other_settings(store, settings, deployment)
    if differs:
        raise CannotStart(
            "switch-settings-not-running",
            f"The running Bytes has another value of {', '.join(differs)} than {store.where}.",
            why="It was not restarted after an edit, or has its settings from elsewhere.",
            cure="Restart Bytes, or name its settings by --settings; then rerun.",
        )


def refuse_old_settings(store: SettingsStore, settings: Sequence[Setting], deployment: Deployment) -> None:
    """Refuse a Bytes that was started, and does not have its new settings; what cannot be seen is not compared.

    Raises:
        MustStop: If one of the settings that name the place differs.
    """
    differs = _other_settings(store, settings, deployment)
    if differs:
        raise MustStop(
            "switch-old-settings",
            f"Bytes was started, and has another value of {', '.join(differs)} than {store.where} has now.",
            why="It has its settings from elsewhere too, or something else started it before they were changed.",
            cure="Look for these names in the unit, the Compose file or the Deployment, then run the same command again.",
        )


def _other_settings(store: SettingsStore, settings: Sequence[Setting], deployment: Deployment) -> list[str]:
    """Return the names that the running Bytes has other values of; none where that cannot be seen."""
    environment = deployment.environment()
    if environment is None:
        return []
    running = layer_of(Setting(name, value, "the running Bytes") for name, value in environment.items())
    present = layer_of(settings)
    differs = [name for name in _COMPARED if name in present and _value(running, name) != _value(present, name)]
    return differs + [
        name for name in _NAMES if name not in present and _value(running, name) and _is_file_alone(store)
    ]


def _value(layer: Mapping[str, Setting], name: str) -> str:
    return layer[name].value if name in layer else ""


def _is_file_alone(store: SettingsStore) -> bool:
    """Return whether nothing lies beneath this file: the Debian package's defaults, Compose's or a ConfigMap's lines do elsewhere."""
    return isinstance(store, SettingsFile) and not beneath(store.path, DEBIAN_FILES)
