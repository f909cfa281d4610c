"""Locations: what the words of ``--from`` and ``--to`` mean, given Bytes' settings, env files and options."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.config.aws_variables import resolve_access
from migrator.config.bytes_settings import bucket_per_organization, data_dir, naming_findings, permission, s3_naming
from migrator.config.endpoints import refuse_bucket_in_endpoint
from migrator.config.env_file import Setting, read_env_file
from migrator.config.environment import (
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    DATA_DIR,
    DEBIAN_FILES,
    ENDPOINT_URL,
    ENDPOINT_URLS,
    FILE_PERMISSION,
    FOLDER_PERMISSION,
    Environment,
    beneath,
    layer_of,
    with_debian_files,
)
from migrator.config.location_words import OTHER_WORD, both_words, folder_of, naming_of, resembles_url
from migrator.config.locations import DiskLocation, Location, Locations, Overrides, S3Location
from migrator.config.overriding_options import option_layer, refuse_idle_options
from migrator.config.settings_checks import check_settings, refuse_mistyped_place
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.core.naming import Naming, SingleBucket


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
    words = both_words(from_, to)
    environment = environment_of(env_files, overrides, environ)
    findings: tuple[Finding, ...] = ()
    if set(OTHER_WORD) & set(words):
        environment, findings = with_debian_files(environment, debian_files)
    source, target = (end_of(word, environment, debian_files) for word in words)
    refuse_idle_options(overrides, words, (source.location, target.location))
    refuse_same_place(source.location, target.location)
    settings = tuple(dict.fromkeys(source.settings + target.settings))
    package = [path for path in debian_files if environment.package and os.path.exists(path)]
    read = [(path, read_env_file(path)) for path in dict.fromkeys((*package, *env_files, *_env_files_among(words)))]
    bytes_reads = _where_bytes_reads(env_files, environ, debian_files)
    is_known = bytes_reads is not None or not (resembles_url(words[0]) and _is_folder(words[1]))
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
    return word not in OTHER_WORD and not resembles_url(word) and not os.path.isfile(word)


def _not_for_bytes(location: Location) -> Location:
    return replace(location, is_for_bytes=False) if isinstance(location, DiskLocation) else location


def _where_bytes_reads(
    env_files: Sequence[Path], environ: Mapping[str, str], debian_files: Sequence[Path]
) -> Location | None:
    """Where Bytes' own settings point, this command's options left aside; None where none of them names a place, or they are invalid."""
    try:
        environment = with_debian_files(environment_of(env_files, Overrides(), environ), debian_files)[0]
        is_known = any(environment.given(name) for name in (BUCKET, BUCKET_PREFIX, DATA_DIR))
        return _end_by_settings(environment).location if is_known else None
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
    if word in OTHER_WORD:
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
    return Environment(process=process, files=files, options=option_layer(overrides))


def _env_files_among(words: Sequence[str]) -> list[Path]:
    return [Path(word) for word in words if word not in OTHER_WORD and not resembles_url(word) and os.path.isfile(word)]


def end_of(word: str, environment: Environment, debian_files: Sequence[Path] = DEBIAN_FILES) -> End:
    """What a word or template, an env file or a path stands for. Raises SettingsError."""
    if word == "disk":
        bucket_per_organization(environment)
        return _disk_end(data_dir(environment), environment)
    if word == "s3":
        return _s3_word_end(environment)
    if resembles_url(word):
        return _s3_end(naming_of(word), environment)
    if os.path.isfile(word):
        return _env_file_end(Path(word), environment, debian_files)
    return _disk_end(folder_of(word), environment)


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
