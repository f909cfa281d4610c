"""Locations: what the words of ``--from`` and ``--to`` mean, given Bytes' settings, env files and options."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from migrator.config.checks import check_settings, refuse_mistyped_place
from migrator.config.endpoints import refuse_bucket_in_endpoint
from migrator.config.env_file import ENV_FILE_SUFFIXES, Setting, read_env_file
from migrator.config.environment import (
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    CA_BUNDLE,
    DATA_DIR,
    DEBIAN_FILES,
    ENDPOINT_URL,
    ENDPOINT_URLS,
    FILE_PERMISSION,
    FOLDER_PERMISSION,
    PROFILE,
    REGION,
    Environment,
    beneath,
    bucket_per_organization,
    data_dir,
    layer_of,
    naming_findings,
    permission,
    s3_naming,
    with_debian_files,
)
from migrator.config.s3_access import resolve_access
from migrator.config.settings import DiskLocation, Location, Locations, Overrides, S3Location
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket
from migrator.core.redaction import has_login


@dataclass(frozen=True, slots=True)
class End:
    """One location, the settings that it comes from, and what to tell about them."""

    location: Location
    settings: tuple[Setting, ...] = ()
    findings: tuple[Finding, ...] = ()


def resolve_locations(
    from_: str | None,
    to: str | None,
    *,
    env_files: Sequence[Path],
    overrides: Overrides,
    environ: Mapping[str, str],
    debian_files: Sequence[Path] = DEBIAN_FILES,
) -> Locations:
    """Resolve both ends of a run; nothing is opened but the named env files."""
    words = _both_words(from_, to)
    environment = environment_of(env_files, overrides, environ)
    findings: tuple[Finding, ...] = ()
    if set(_OTHER_WORD) & set(words):
        environment, findings = with_debian_files(environment, debian_files)
    source, target = (end_of(word, environment, debian_files) for word in words)
    refuse_idle_options(overrides, words, (source.location, target.location))
    refuse_same_place(source.location, target.location)
    settings = tuple(dict.fromkeys(source.settings + target.settings))
    package = [path for path in debian_files if environment.package and os.path.exists(path)]
    read = [(path, read_env_file(path)) for path in dict.fromkeys((*package, *env_files, *_env_files_among(words)))]
    bytes_reads = _where_bytes_reads(env_files, environ, debian_files)
    is_known = bytes_reads is not None or not (_resembles_url(words[0]) and _is_folder(words[1]))
    return Locations(
        source=source.location,
        target=target.location if is_known else _not_for_bytes(target.location),
        settings=settings,
        findings=tuple(
            dict.fromkeys(findings + source.findings + target.findings + tuple(check_settings(environ, read, settings)))
        ),
        bytes_reads=bytes_reads,
    )


def _is_folder(word: str) -> bool:
    """Return whether the word is a folder, written out: no word, template or env file."""
    return word not in _OTHER_WORD and not _resembles_url(word) and not os.path.isfile(word)


def _not_for_bytes(location: Location) -> Location:
    return replace(location, is_for_bytes=False) if isinstance(location, DiskLocation) else location


def _where_bytes_reads(
    env_files: Sequence[Path], environ: Mapping[str, str], debian_files: Sequence[Path]
) -> Location | None:
    """Where Bytes' own settings point, this command's options left aside; None where none of them names a place, or they are invalid."""
    try:
        environment = with_debian_files(environment_of(env_files, Overrides(), environ), debian_files)[0]
    except SettingsError:
        return None
    if not any(environment.given(name) for name in (BUCKET, BUCKET_PREFIX, DATA_DIR)):
        return None
    try:
        return active_locations(env_files, Overrides(), environ, debian_files)[0]
    except SettingsError:
        return None


def resolve_end(
    word: str,
    *,
    env_files: Sequence[Path],
    overrides: Overrides,
    environ: Mapping[str, str],
    debian_files: Sequence[Path] = DEBIAN_FILES,
) -> Locations:
    """Resolve one end, as both of them: for commands that look at one only."""
    environment = environment_of(env_files, overrides, environ)
    findings: tuple[Finding, ...] = ()
    if word in _OTHER_WORD:
        environment, findings = with_debian_files(environment, debian_files)
    end = end_of(word, environment, debian_files)
    refuse_idle_options(overrides, (word, word), (end.location, end.location))
    return Locations(
        source=end.location,
        target=end.location,
        settings=end.settings,
        findings=tuple(dict.fromkeys(findings + end.findings)),
    )


def active_locations(
    env_files: Sequence[Path],
    overrides: Overrides,
    environ: Mapping[str, str],
    debian_files: Sequence[Path] = DEBIAN_FILES,
) -> tuple[Location, ...]:
    """Where Bytes looks for raw files, by its settings alone; and where it would if this command's options were its settings too.

    Raises SettingsError for settings with which Bytes looks nowhere.
    """
    given, _ = with_debian_files(environment_of(env_files, overrides, environ), debian_files)
    alone = replace(given, options={})
    return tuple(_end_by_settings(one).location for one in ((alone, given) if given.options else (alone,)))


def location_by_settings(settings: Iterable[Setting], package: Sequence[Path] = ()) -> Location:
    """Return where a Bytes with these settings, and nothing else in its environment, looks for raw files.

    `package` are files that lie beneath them. Raises SettingsError for settings with which Bytes looks nowhere.
    """
    files = tuple(layer_of(read_env_file(path)) for path in package)
    environment = Environment(files=(*files, layer_of(settings)))
    return _end_by_settings(environment).location


def environment_of(env_files: Sequence[Path], overrides: Overrides, environ: Mapping[str, str]) -> Environment:
    """The layers of settings that were given."""
    process = layer_of(Setting(name, value, "environment") for name, value in environ.items())
    files = tuple(layer_of(read_env_file(path)) for path in env_files)
    return Environment(process=process, files=files, options=_option_layer(overrides))


def _env_files_among(words: Sequence[str]) -> list[Path]:
    return [
        Path(word) for word in words if word not in _OTHER_WORD and not _resembles_url(word) and os.path.isfile(word)
    ]


_OTHER_WORD = {"disk": "s3", "s3": "disk"}


def _both_words(from_: str | None, to: str | None) -> tuple[str, str]:
    if from_ is not None and to is not None:
        return from_, to
    if from_ is None and to is None:
        raise SettingsError(
            "locations-missing",
            "Neither --from nor --to is given.",
            why="A migration needs two locations.",
            cure="Add --to s3 to go from disk to S3, --to disk to go back.",
        )
    given, missing = (to or "", "--from") if from_ is None else (from_, "--to")
    other = _OTHER_WORD.get(given)
    if other is None:
        raise SettingsError(
            "locations-missing",
            f"{missing} is not given.",
            why="Only disk and s3 imply the other end.",
            cure=f"Add {missing} with disk, s3, an env file, a path, or s3://bucket/{{organization}}.",
        )
    return (other, given) if missing == "--from" else (given, other)


def end_of(word: str, environment: Environment, debian_files: Sequence[Path] = DEBIAN_FILES) -> End:
    """What a word or template, an env file or a path stands for. Raises SettingsError."""
    if word == "disk":
        bucket_per_organization(environment)
        return _disk_end(data_dir(environment), environment)
    if word == "s3":
        return _s3_word_end(environment)
    if _resembles_url(word):
        return _s3_end(_template(word), environment)
    if os.path.isfile(word):
        return _env_file_end(Path(word), environment, debian_files)
    return _disk_end(_folder(word), environment)


def _disk_end(root: Path, environment: Environment) -> End:
    location = DiskLocation(
        root=root,
        folder_mode=permission(environment, FOLDER_PERMISSION),
        file_mode=permission(environment, FILE_PERMISSION),
    )
    return End(location, tuple(_bytes_settings(environment, (DATA_DIR, FOLDER_PERMISSION, FILE_PERMISSION))))


def _end_by_settings(environment: Environment) -> End:
    """Where a Bytes with these settings looks for raw files. Raises SettingsError."""
    naming = s3_naming(environment)
    return _disk_end(data_dir(environment), environment) if naming is None else _configured_s3_end(naming, environment)


def _s3_end(naming: Naming, environment: Environment) -> End:
    resolved = resolve_access(environment)
    for setting in resolved.settings:
        if setting.name in ENDPOINT_URLS:
            refuse_bucket_in_endpoint(naming, setting)
    return End(S3Location(naming=naming, access=resolved.access), resolved.settings, resolved.findings)


def _configured_s3_end(naming: Naming, environment: Environment) -> End:
    end = _s3_end(naming, environment)
    used = BUCKET if isinstance(naming, SingleBucket) else BUCKET_PREFIX
    return End(
        end.location,
        tuple(_bytes_settings(environment, (used, BUCKET_PER_ORG))) + end.settings,
        (*naming_findings(environment), *end.findings),
    )


def _bytes_settings(environment: Environment, names: Sequence[str]) -> Iterator[Setting]:
    for name in names:
        yield environment.or_default(name)


def _s3_word_end(environment: Environment) -> End:
    naming = s3_naming(environment)
    if naming is None:
        raise SettingsError(
            "s3-not-set",
            "s3 is where Bytes' settings point, and they name no bucket.",
            why=f"Neither {BUCKET} nor {BUCKET_PREFIX} is set, so Bytes itself would use its disk.",
            cure=f"Set {BUCKET}=<bucket> and {BUCKET_PER_ORG}=false for one bucket, or {BUCKET_PREFIX}=<prefix> and {BUCKET_PER_ORG}=true"
            f" for a bucket for each organization. Put them, {ENDPOINT_URL} and the keys into Bytes' env file: --env-file FILE.",
        )
    _refuse_option_that_names_nothing(naming, environment)
    return _configured_s3_end(naming, environment)


def _refuse_option_that_names_nothing(naming: Naming, environment: Environment) -> None:
    """Refuse --bucket or --bucket-prefix where BUCKET_PER_ORG, as it is set, makes Bytes read the other one.

    An unset BUCKET_PER_ORG is told by a finding instead, since Bytes' truth may be what is wanted.

    Raises:
        SettingsError: If the option would have no effect.
    """
    single = isinstance(naming, SingleBucket)
    idle, option, cure = (
        (BUCKET_PREFIX, "--bucket-prefix", "--bucket-per-org") if single else (BUCKET, "--bucket", "--single-bucket")
    )
    ruling = environment.get(BUCKET_PER_ORG)
    if ruling is None or idle not in environment.options:
        return
    raise SettingsError(
        "option-without-effect",
        f"{option} names no bucket here.",
        why=f"{BUCKET_PER_ORG} is {ruling.value} ({ruling.origin}).",
        cure=f"Add {cure} or leave {option} out.",
    )


def _env_file_end(path: Path, environment: Environment, debian_files: Sequence[Path]) -> End:
    """Where Bytes would look with this file: its own names from the file alone, ``AWS_*`` falling back to the process environment.

    Beneath the Debian package's settings file lie the package's defaults, as its systemd unit reads them. Raises SettingsError for a file
    that does not say where Bytes will store.
    """
    paths = [*beneath(path, debian_files), path]
    alone = Environment(
        process={name: setting for name, setting in environment.process.items() if name.startswith("AWS_")},
        files=tuple(layer_of(read_env_file(each)) for each in paths),
        options={name: setting for name, setting in environment.options.items() if name.startswith("AWS_")},
    )
    refuse_mistyped_place(path, alone, [setting for each in paths for setting in read_env_file(each)])
    return _end_by_settings(alone)


_SINGLE_TEMPLATE = re.compile(r"s3://([^/{}]+)/\{organization\}")
_EACH_TEMPLATE = re.compile(r"s3://([^/{}]+)\{organization\}")


def _resembles_url(word: str) -> bool:
    """Whether a word is meant as a template or URL, well written or not: never a folder's path."""
    return word.lower().startswith(("s3:", "s3//")) or "://" in word or "{organization}" in word


def _template(word: str) -> Naming:
    if has_login(word) or "?" in word:
        raise SettingsError(
            "location-with-login",
            "A location holds a login or a signature, which is not shown here.",
            why="Locations show in reports, logs and the process list.",
            cure=(
                "Write s3://bucket/{organization}, and put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into an "
                "env file. Replace the typed key: the shell keeps it."
            ),
        )
    if match := _SINGLE_TEMPLATE.fullmatch(word):
        return SingleBucket(match.group(1))
    if match := _EACH_TEMPLATE.fullmatch(word):
        return BucketPerOrganization(match.group(1))
    if word.lower().startswith(("http://", "https://")):
        raise SettingsError(
            "location-is-url",
            f"{word} is the address of a server, not a location.",
            why="A location names buckets; the address is a setting.",
            cure="Give the address with --endpoint-url (AWS_ENDPOINT_URL), and s3 or s3://bucket/{organization} "
            "as location.",
        )
    raise SettingsError(
        "location-template",
        f"{word} does not say where an organization's raw files are.",
        why="Without {organization}, one bucket for all and one for each look alike.",
        cure="Write 's3://bucket/{organization}' for one bucket, 's3://prefix-{organization}' for one each.",
    )


def near_word(word: str) -> str:
    """Return '; did you mean s3?' for a word that is nearly one of the two, else a full stop."""
    near = difflib.get_close_matches(word.lower(), ("disk", "s3"), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else "."


def _folder(word: str) -> Path:
    if "/" not in word and not word.endswith(ENV_FILE_SUFFIXES):
        is_folder = os.path.isdir(word)
        here = shlex.quote(f"./{word}")
        raise SettingsError(
            "location-unknown",
            f"Unknown location {word!r}{'.' if is_folder else near_word(word)}",
            why="A folder has that name, but a path needs a slash."
            if is_folder
            else "It is neither disk nor s3, and there is no file of that name. A path has a slash in it.",
            cure=f"Type {here}."
            if is_folder
            else f"Type disk, s3, the path of an env file, or {here} for a folder here.",
        )
    if word.endswith(ENV_FILE_SUFFIXES) and not os.path.isdir(word):
        raise SettingsError(
            "env-file-missing",
            f"There is no env file {word}.",
            why="Nothing that this user can see has that name.",
            cure=f"Check the path; relative paths start at {os.getcwd()}.",
        )
    return Path(os.path.abspath(os.path.expanduser(word)))


OVERRIDING_OPTIONS = {
    "data_dir": (DATA_DIR, "--data-dir"),
    "bucket": (BUCKET, "--bucket"),
    "bucket_prefix": (BUCKET_PREFIX, "--bucket-prefix"),
    "bucket_per_org": (BUCKET_PER_ORG, "--bucket-per-org/--single-bucket"),
    "endpoint_url": (ENDPOINT_URL, "--endpoint-url"),
    "region": (REGION, "--region"),
    "profile": (PROFILE, "--profile"),
    "ca_bundle": (CA_BUNDLE, "--ca-bundle"),
}
"""The setting, and the option, of each field of `Overrides`."""


def _option_layer(overrides: Overrides) -> dict[str, Setting]:
    layer = {}
    for item in fields(overrides):
        given: str | bool | None = getattr(overrides, item.name)
        name, option = OVERRIDING_OPTIONS[item.name]
        if isinstance(given, bool):
            option = "--bucket-per-org" if given else "--single-bucket"
            layer[name] = Setting(name, str(given).lower(), option)
        elif given is not None:
            value = os.path.abspath(os.path.expanduser(given)) if name == DATA_DIR and given else given
            layer[name] = Setting(name, value, option)
    return layer


def refuse_idle_options(overrides: Overrides, words: Sequence[str], ends: Sequence[Location]) -> None:
    """Refuse an option that applies to neither end: none is silently ignored.

    Raises:
        SettingsError: If one is given that changes nothing here.
    """
    reach = {DATA_DIR: "disk" in words} | dict.fromkeys((BUCKET, BUCKET_PREFIX, BUCKET_PER_ORG), "s3" in words)
    any_s3 = any(isinstance(end, S3Location) for end in ends)
    for item in fields(overrides):
        name, option = OVERRIDING_OPTIONS[item.name]
        if getattr(overrides, item.name) is None or reach.get(name, any_s3):
            continue
        where = "the word disk" if name == DATA_DIR else "the word s3" if name in reach else "an end on S3"
        raise SettingsError(
            "option-without-end",
            f"{option} applies to neither end.",
            why=f"It changes {where}; this goes from {words[0]} to {words[1]}.",
            cure=f"Leave {option} out, or name the location by {where}.",
        )


def refuse_same_place(source: Location, target: Location) -> None:
    """Refuse two ends that are one place, and a data folder inside the other.

    Raises:
        SettingsError: If both are the same, by name or, on disk, after all links are resolved.
    """
    why = ""
    if source.identity == target.identity:
        why = f"Both are {target}."
    elif isinstance(source, DiskLocation) and isinstance(target, DiskLocation):
        roots = [Path(os.path.realpath(end.root)) for end in (source, target)]
        if roots[0] in roots[1].parents or roots[1] in roots[0].parents:
            why = f"One data folder lies inside the other: {source.root} and {target.root}."
    if why:
        raise SettingsError(
            "same-place",
            "Source and target are the same place.",
            why=why,
            cure="Name two different locations with --from and --to.",
        )
