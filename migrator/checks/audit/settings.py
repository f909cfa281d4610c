"""What an audit takes from options and Bytes' settings: the location that is asked about, the other one, database, keys and login."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.config.bytes_settings import uses_s3
from migrator.config.env_file import Setting, read_env_file
from migrator.config.environment import DEBIAN_FILES, Environment, layer_of, with_debian_files
from migrator.config.location_resolution import End, end_of, environment_of, refuse_same_place
from migrator.config.locations import Location, Overrides, Secret
from migrator.config.overriding_options import refuse_idle_options
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding

DB_URI = "BYTES_DB_URI"
MIDDLEWARE = "BYTES_ENCRYPTION_MIDDLEWARE"
PRIVATE_KEY = "BYTES_PRIVATE_KEY_B64"
PUBLIC_KEY = "BYTES_PUBLIC_KEY_B64"
USERNAME = "BYTES_USERNAME"
PASSWORD = "BYTES_PASSWORD"  # noqa: S105 a variable's name
IDENTITY, SEALBOX = "IDENTITY", "NACL_SEALBOX"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxKeys:
    """The keys with which Bytes makes and opens NaCl boxes, in base64."""

    private: Secret
    public: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """`target` is asked about; `source` is where else raw files may be, None where the settings name no other place."""

    target: Location
    source: Location | None
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    environment: Environment

    def database(self, option: str | None) -> Setting:
        """Return the database's URI, or the path of an export, with its origin.

        Raises:
            SettingsError: If neither is given.
        """
        if option:
            return Setting(DB_URI, option, "--database")
        setting = self.environment.get(DB_URI)
        if setting is not None and setting.value:
            return setting
        raise SettingsError(
            "database-missing",
            f"There is no database to ask: neither --database nor {DB_URI} is given.",
            why="Only Bytes' database knows which raw files must exist.",
            cure=f"Give Bytes' settings by --env-file FILE, set {DB_URI}, or give --database rows.csv with an export.",
        )

    @property
    def says_encryption(self) -> bool:
        """Whether the settings say how Bytes encrypts; its default is not to."""
        return self.environment.get(MIDDLEWARE) is not None

    def box_keys(self) -> BoxKeys | None:
        """Return the keys where Bytes encrypts, None where it does not.

        Raises:
            SettingsError: If the middleware is unknown or a key is missing: Bytes would not start with it.
        """
        setting = self.environment.get(MIDDLEWARE)
        word = setting.value if setting is not None else IDENTITY
        if word == IDENTITY:
            return None
        if word != SEALBOX:
            raise SettingsError(
                "middleware-unknown",
                f"{MIDDLEWARE} is neither {IDENTITY} nor {SEALBOX} ({setting.origin if setting else 'default'}).",
                why="Bytes itself would not start with it.",
                cure=f"Write {MIDDLEWARE}={IDENTITY} or {MIDDLEWARE}={SEALBOX}, as the running Bytes has it.",
            )
        missing = self._missing(PRIVATE_KEY, PUBLIC_KEY)
        if missing:
            raise SettingsError(
                "nacl-keys-missing",
                f"{missing} not set, and {MIDDLEWARE} is {SEALBOX}.",
                why="The recorded digests are of the decoded contents.",
                cure="Give Bytes' own settings by --env-file FILE.",
            )
        return BoxKeys(
            private=Secret(self.environment.given(PRIVATE_KEY) or ""),
            public=Secret(self.environment.given(PUBLIC_KEY) or ""),
        )

    def login(self) -> tuple[str, Secret]:
        """Bytes' user and password. Raises SettingsError."""
        return login_of(self.environment)

    def _missing(self, *names: str) -> str:
        return _missing(self.environment, *names)


def login_of(environment: Environment) -> tuple[str, Secret]:
    """Return Bytes' user and password.

    Raises:
        SettingsError: If one of them is not set.
    """
    missing = _missing(environment, USERNAME, PASSWORD)
    if missing:
        raise SettingsError(
            "api-login-missing",
            f"{missing} not set.",
            why="--api asks a running Bytes, which wants its login.",
            cure="Give Bytes' own settings by --env-file FILE.",
        )
    return environment.given(USERNAME) or "", Secret(environment.given(PASSWORD) or "")


def _missing(environment: Environment, *names: str) -> str:
    """Those that are not set, as a sentence begins: "A and B are"; empty where all are set."""
    missing = [name for name in names if environment.given(name) is None]
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'}" if missing else ""


def resolve_audit(
    from_: str | None,
    to: str | None,
    *,
    env_files: Sequence[Path],
    overrides: Overrides,
    environ: Mapping[str, str],
    debian_files: Sequence[Path] = DEBIAN_FILES,
) -> AuditSettings:
    """Resolve both locations and Bytes' environment; nothing is opened but the named env files. Raises SettingsError."""
    environment = environment_of(env_files, overrides, environ)
    environment, findings = with_debian_files(environment, debian_files)
    place = to if to is not None else _where_settings_point(environment)
    target = end_of(place, environment, debian_files)
    word, source = _other_end(from_, place, target, environment, debian_files)
    present = [end for end in (source, target) if end is not None]
    refuse_idle_options(overrides, [word, place], [end.location for end in present])
    return AuditSettings(
        target=target.location,
        source=source.location if source is not None else None,
        settings=tuple(dict.fromkeys(setting for end in present for setting in end.settings)),
        findings=tuple(dict.fromkeys((*findings, *(finding for end in present for finding in end.findings)))),
        environment=_with_env_file(environment, place),
    )


def _where_settings_point(environment: Environment) -> str:
    return "s3" if uses_s3(environment) else "disk"


def _other_end(
    from_: str | None, place: str, target: End, environment: Environment, debian_files: Sequence[Path]
) -> tuple[str, End | None]:
    """The location named by --from; else the first that the settings name and that is another place, if there is one."""
    if from_ is not None:
        source = end_of(from_, environment, debian_files)
        refuse_same_place(source.location, target.location)
        return from_, source
    for word in dict.fromkeys((_where_settings_point(environment), "disk", "s3")):
        if word == place or (word == "s3" and not uses_s3(environment)):
            continue
        source = end_of(word, _with_env_file(environment, place, beneath=True) if word == "disk" else environment)
        try:
            refuse_same_place(source.location, target.location)
        except SettingsError:
            continue
        return word, source
    return "nowhere else", None


def _with_env_file(environment: Environment, place: str, *, beneath: bool = False) -> Environment:
    """The environment with what the env file says that is asked about: it wins, or (`beneath`) yields to all else."""
    if place in ("disk", "s3") or place.lower().startswith("s3://") or not os.path.isfile(place):
        return environment
    layer = layer_of(read_env_file(Path(place)))
    if beneath:
        return replace(environment, package=(layer, *environment.package))
    return replace(environment, files=(*environment.files, layer))
