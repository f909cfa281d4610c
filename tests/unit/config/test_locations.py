"""What Bytes' environment and ``AWS_*`` say: layers, readings, defaults, and every way in which they are invalid."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import given
from hypothesis import strategies as st

from migrator.config import bytes_settings
from migrator.config.aws_variables import resolve_access
from migrator.config.env_file import Setting, read_env_file
from migrator.config.environment import Environment, layer_of
from migrator.config.locations import DiskLocation, S3Access, S3Location, Secret, endpoint_identity, settings_lines
from migrator.core.errors import SettingsError
from migrator.core.naming import BucketPerOrganization, SingleBucket

Values = Mapping[str, str]


def layer(origin: str, values: Values) -> dict[str, Setting]:
    return layer_of(Setting(name, value, origin) for name, value in values.items())


def env(process: Values | None = None, *files: Values, options: Values | None = None) -> Environment:
    return Environment(
        process=layer("environment", process or {}),
        files=tuple(layer(f"{at}.env line 1", values) for at, values in enumerate(files)),
        options=layer("option", options or {}),
    )


def access(process: Values | None = None, *files: Values, options: Values | None = None) -> S3Access:
    return resolve_access(env(process, *files, options=options)).access


def warned(process: Values | None = None, *files: Values, options: Values | None = None) -> list[str]:
    return [finding.name for finding in resolve_access(env(process, *files, options=options)).findings]


def test_secret_hides_itself_and_does_not_travel() -> None:
    secret = Secret("hunter2")
    assert (repr(secret), str(secret), f"{secret}") == ("***", "***", "***")
    assert secret == Secret("hunter2")
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            travel(secret)
    assert secret != Secret("other")
    assert secret.reveal() == "hunter2"
    with pytest.raises(AttributeError):
        secret._text = "x"  # type: ignore[misc]


def test_no_secret_in_the_repr_of_anything() -> None:
    environment = env(
        {}, {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "hunter2"}
    )
    resolved = resolve_access(environment)
    location = S3Location(naming=SingleBucket("b"), access=resolved.access)
    for value in (environment, resolved, location):
        assert "hunter2" not in repr(value)
    assert "hunter2" not in str(location) + location.identity + "".join(settings_lines(location))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(location)


NAMES = [
    ("S3_BUCKET", "S3_BUCKET"),
    ("s3_bucket", "S3_BUCKET"),
    ("Bucket_Per_Org", "BUCKET_PER_ORG"),
    ("bytes_data_dir", "BYTES_DATA_DIR"),
    ("AWS_PROFILE", "AWS_PROFILE"),
    ("aws_profile", None),
    ("BYTES_MIGRATOR_JOBS", None),
    ("bytes_migrator_jobs", None),
    ("PATH", None),
    ("S3_BUCKETS", None),
]


@pytest.mark.parametrize(("name", "known"), NAMES)
def test_names_are_matched_as_pydantic_and_boto3_do(name: str, known: str | None) -> None:
    assert list(layer_of([Setting(name, "x", "environment")])) == ([known] if known else [])


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c"]), min_size=4, max_size=4))
def test_the_last_layer_that_has_a_name_wins(values: list[str | None]) -> None:
    process, first, second, option = ({} if value is None else {"S3_BUCKET": value} for value in values)
    environment = env(process, first, second, options=option)
    origins = ["environment", "0.env line 1", "1.env line 1", "option"]
    there = [(value, origin) for value, origin in zip(values, origins, strict=True) if value is not None]
    found = environment.or_default("S3_BUCKET")
    assert (found.value, found.origin) == (there[-1] if there else ("OpenKAT", "Bytes' default"))


TRUE = ["true", "1", "yes", "on", "t", "y", "TRUE", "Yes", "oN"]
FALSE = ["false", "0", "no", "off", "f", "n", "False", "NO"]


@pytest.mark.parametrize(("word", "expected"), [(w, True) for w in TRUE] + [(w, False) for w in FALSE])
def test_booleans_are_read_as_pydantic_reads_them(word: str, *, expected: bool) -> None:
    assert bytes_settings.bucket_per_organization(env({"BUCKET_PER_ORG": word})) is expected


def test_bucket_per_org_is_true_when_unset() -> None:
    assert bytes_settings.bucket_per_organization(env()) is True


@pytest.mark.parametrize("word", ["", " true", "maybe", "2", "truee"])
def test_what_bytes_would_not_start_with(word: str) -> None:
    with pytest.raises(SettingsError, match="Bytes would not start") as caught:
        bytes_settings.bucket_per_organization(env({"BUCKET_PER_ORG": word}))
    assert caught.value.name == "bucket-per-org-invalid"
    assert "environment" in caught.value.what
    assert "BUCKET_PER_ORG=false" in caught.value.cure


NAMING: list[tuple[Values, object]] = [
    ({}, None),
    ({"S3_BUCKET": "", "S3_BUCKET_PREFIX": ""}, None),
    ({"BUCKET_PER_ORG": "false"}, None),
    ({"S3_BUCKET": "b", "BUCKET_PER_ORG": "false"}, SingleBucket("b")),
    ({"S3_BUCKET": "b", "S3_BUCKET_PREFIX": "", "BUCKET_PER_ORG": "no"}, SingleBucket("b")),
    ({"S3_BUCKET": "b"}, BucketPerOrganization("OpenKAT-")),
    ({"S3_BUCKET": "b", "S3_BUCKET_PREFIX": "cyn-"}, BucketPerOrganization("cyn-")),
    ({"S3_BUCKET_PREFIX": "cyn-", "BUCKET_PER_ORG": "true"}, BucketPerOrganization("cyn-")),
    ({"S3_BUCKET_PREFIX": "cyn-", "BUCKET_PER_ORG": "0"}, SingleBucket("OpenKAT")),
]


@pytest.mark.parametrize(("values", "naming"), NAMING)
def test_naming_is_what_bytes_would_use(values: Values, naming: object) -> None:
    assert bytes_settings.s3_naming(env(values)) == naming


@pytest.mark.parametrize(
    "values",
    [
        {"S3_BUCKET": "b", "S3_BUCKET_PREFIX": ""},
        {"S3_BUCKET": "", "S3_BUCKET_PREFIX": "cyn-", "BUCKET_PER_ORG": "false"},
    ],
)
def test_an_empty_name_that_is_needed_is_refused(values: Values) -> None:
    with pytest.raises(SettingsError) as caught:
        bytes_settings.s3_naming(env(values))
    assert caught.value.name == "bucket-name-empty"


def naming_findings(values: Values) -> dict[str, Any]:
    return {finding.name: finding for finding in bytes_settings.naming_findings(env(values))}


FINDINGS: list[tuple[Values, set[str]]] = [
    ({"S3_BUCKET": "b"}, {"bucket-per-org-default", "default-bucket-name"}),
    ({"S3_BUCKET": "b", "S3_BUCKET_PREFIX": "cyn-"}, {"bucket-per-org-default"}),
    ({"S3_BUCKET": "b", "BUCKET_PER_ORG": "true"}, {"default-bucket-name"}),
    ({"S3_BUCKET": "b", "BUCKET_PER_ORG": "false"}, set()),
    ({"S3_BUCKET_PREFIX": "cyn-"}, set()),
    ({"S3_BUCKET_PREFIX": "cyn-", "BUCKET_PER_ORG": "false"}, {"default-bucket-name"}),
    ({"S3_BUCKET": "OpenKAT", "BUCKET_PER_ORG": "false"}, set()),
]


@pytest.mark.parametrize(("values", "names"), FINDINGS)
def test_naming_findings(values: Values, names: set[str]) -> None:
    assert set(naming_findings(values)) == names


def test_the_finding_says_which_names_bytes_will_really_use() -> None:
    finding = naming_findings({"S3_BUCKET": "my-bucket"})["bucket-per-org-default"]
    assert "OpenKAT-<organization>" in finding.seen
    assert "manual" in finding.why
    assert "BUCKET_PER_ORG=false" in finding.cure
    prefixed = naming_findings({"S3_BUCKET": "my-bucket", "S3_BUCKET_PREFIX": "cyn-"})["bucket-per-org-default"]
    assert "cyn-<organization>" in prefixed.seen


@pytest.mark.parametrize(("text", "mode"), [(None, 0o740), ("750", 0o750), ("0o700", 0o700), ("0", 0), ("777", 0o777)])
def test_permissions_are_octal(text: str | None, mode: int) -> None:
    values = {} if text is None else {"BYTES_FOLDER_PERMISSION": text}
    assert bytes_settings.permission(env(values), "BYTES_FOLDER_PERMISSION") == mode


@pytest.mark.parametrize("text", ["", "rwx", "789", "1000", "-1"])
def test_what_is_no_permission(text: str) -> None:
    with pytest.raises(SettingsError, match="octal") as caught:
        bytes_settings.permission(env({"BYTES_FILE_PERMISSION": text}), "BYTES_FILE_PERMISSION")
    assert caught.value.name == "permission-invalid"
    assert "640" in caught.value.cure


@pytest.mark.parametrize(("values", "path"), [({}, "/data"), ({"BYTES_DATA_DIR": "/srv/x"}, "/srv/x")])
def test_data_dir(values: Values, path: str) -> None:
    assert bytes_settings.data_dir(env(values)) == Path(path)


@pytest.mark.parametrize("text", ["", "data", "~/data", "./x"])
def test_a_relative_data_dir_cannot_be_known(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        bytes_settings.data_dir(env({"BYTES_DATA_DIR": text}))
    assert caught.value.name == "data-dir-relative"


REFERENCES = [
    ({"BYTES_DATA_DIR": "${HOME}/x"}, bytes_settings.data_dir),
    ({"S3_BUCKET": "${B}", "BUCKET_PER_ORG": "false"}, bytes_settings.s3_naming),
    ({"S3_BUCKET_PREFIX": "${B}-"}, bytes_settings.s3_naming),
    ({"AWS_ENDPOINT_URL": "http://${B}"}, resolve_access),
]


@pytest.mark.parametrize(("values", "read"), REFERENCES)
def test_references_to_other_variables_are_refused(values: Values, read: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        read(env({}, values))
    assert caught.value.name == "setting-not-expanded"


# --- AWS_* ---

KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
LOADER = create_loader()
"""Of all sessions: what botocore knows of S3 is read once."""


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"AWS_ENDPOINT_URL": "http://a:1"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:1"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": ""},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "1"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_DEFAULT_REGION": "eu-west-1"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_REGION": "eu-west-1"},
    ],
)
def test_endpoint_and_region_are_what_boto3_resolves(monkeypatch: pytest.MonkeyPatch, values: Values) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name, value in (values | KEYS).items():  # type: ignore[operator]
        monkeypatch.setenv(name, value)
    below = botocore.session.Session()
    below.register_component("data_loader", LOADER)
    client = boto3.Session(botocore_session=below).client("s3")
    resolved = access(values)
    assert (resolved.endpoint_url or "https://s3.amazonaws.com") == client.meta.endpoint_url
    assert (resolved.region or "us-east-1") == client.meta.region_name


ENDPOINTS: list[tuple[Environment, str | None]] = [
    (env({"AWS_ENDPOINT_URL": "http://a"}, options={"AWS_ENDPOINT_URL": "http://o"}), "http://o"),
    (env({"AWS_ENDPOINT_URL_S3": "http://a"}, options={"AWS_ENDPOINT_URL": "http://o"}), "http://o"),
    (env({"AWS_ENDPOINT_URL_S3": "http://a"}, {"AWS_ENDPOINT_URL": "http://f"}), "http://f"),
    (env({}, {"AWS_ENDPOINT_URL_S3": "http://s"}, {"AWS_ENDPOINT_URL": "http://g"}), "http://s"),
    (env({}, {"AWS_ENDPOINT_URL": "http://f"}, {"AWS_ENDPOINT_URL": "http://g"}), "http://g"),
    (env({"AWS_ENDPOINT_URL": "http://a"}, {"S3_BUCKET": "x"}), "http://a"),
    (env({}, {"AWS_ENDPOINT_URL": ""}), None),
    (env({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, {"AWS_ENDPOINT_URL": "http://f"}), "http://f"),
]


@pytest.mark.parametrize(("environment", "url"), ENDPOINTS)
def test_endpoint_precedence(environment: Environment, url: str | None) -> None:
    assert resolve_access(environment).access.endpoint_url == url


def test_an_emptied_endpoint_is_not_guessed_about() -> None:
    with pytest.raises(SettingsError) as caught:
        access({"AWS_ENDPOINT_URL": "http://a"}, {"AWS_ENDPOINT_URL": ""})
    assert caught.value.name == "endpoint-emptied"


@pytest.mark.parametrize(
    "url", ["a:1", "a", "ftp://a", "http://", "http://a:x", "http://a:99999", "http://a/?b", "http://a b", "http://[1"]
)
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        access({"AWS_ENDPOINT_URL": url})
    assert caught.value.name == "endpoint-not-a-url"
    assert "environment" in caught.value.what


def test_an_empty_endpoint_option_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        access(options={"AWS_ENDPOINT_URL": ""})
    assert caught.value.name == "endpoint-not-a-url"


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@a", "me:hunter2@a", "https://hunter2@a:x/", "http://me:hunter2/x@a"]
)
def test_an_endpoint_with_a_login_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        access({"AWS_ENDPOINT_URL": url})
    assert caught.value.name in ("endpoint-with-login", "endpoint-not-a-url")
    assert "hunter2" not in str(caught.value)


IDENTITIES = [
    (None, "aws"),
    ("https://s3.amazonaws.com", "aws"),
    ("https://s3.eu-west-1.amazonaws.com/", "aws"),
    ("HTTP://Host.Example:80/", "http://host.example"),
    ("http://host:443", "http://host:443"),
    ("https://host:443/base/", "https://host/base"),
    ("http://[::1]:8333", "http://[::1]:8333"),
]


@pytest.mark.parametrize(("url", "identity"), IDENTITIES)
def test_endpoint_identity(url: str | None, identity: str) -> None:
    assert endpoint_identity(url) == identity


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        access({}, {"AWS_DEFAULT_REGION": ""})
    assert caught.value.name == "aws-region-empty"
    assert access({"AWS_DEFAULT_REGION": ""}, {"AWS_DEFAULT_REGION": "eu-west-1"}).region == "eu-west-1"


NO_KEYS = (None, None, None, None)
IDENTITY: list[tuple[Environment, tuple[str | None, ...]]] = [
    # access key id, secret, token, profile
    (env(KEYS), NO_KEYS),
    (env({"AWS_PROFILE": "p"}), NO_KEYS),
    (env({}, KEYS), ("AK", "SK", None, None)),
    (env({}, {**KEYS, "AWS_SESSION_TOKEN": "T"}), ("AK", "SK", "T", None)),
    (env({}, {**KEYS, "AWS_SESSION_TOKEN": "T", "AWS_SECURITY_TOKEN": "S"}), ("AK", "SK", "S", None)),
    (env({"AWS_SESSION_TOKEN": "T", "AWS_ACCESS_KEY_ID": "other"}, KEYS), ("AK", "SK", None, None)),
    (env({}, KEYS, {"AWS_ACCESS_KEY_ID": "A2", "AWS_SECRET_ACCESS_KEY": "S2"}), ("A2", "S2", None, None)),
    (
        env({}, {**KEYS, "AWS_SESSION_TOKEN": "T"}, {"AWS_ACCESS_KEY_ID": "A2", "AWS_SECRET_ACCESS_KEY": "S2"}),
        ("A2", "S2", None, None),
    ),
    (env({}, KEYS, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}), ("AK", "SK", None, None)),
    (env({}, {**KEYS, "AWS_PROFILE": "p"}), ("AK", "SK", None, "p")),
    (env({}, {"AWS_PROFILE": "p", "AWS_DEFAULT_PROFILE": "d"}), (None, None, None, "d")),
    (env(KEYS, {"AWS_PROFILE": "p"}), (None, None, None, "p")),
    (env({"AWS_ACCESS_KEY_ID": "half"}, {"AWS_PROFILE": "p"}), (None, None, None, "p")),
    (env({}, KEYS, options={"AWS_PROFILE": "o"}), (None, None, None, "o")),
    (env({"AWS_ACCESS_KEY_ID": "half"}, options={"AWS_PROFILE": "o"}), (None, None, None, "o")),
]


@pytest.mark.parametrize(("environment", "expected"), IDENTITY)
def test_keys_and_profile(environment: Environment, expected: tuple[str | None, ...]) -> None:
    found = resolve_access(environment).access
    secret, token = found.secret_access_key, found.session_token
    assert (
        found.access_key_id,
        secret.reveal() if secret else None,
        token.reveal() if token else None,
        found.profile,
    ) == expected


HALVES: list[tuple[Environment, str]] = [
    (env({"AWS_ACCESS_KEY_ID": "AK"}), "AWS_SECRET_ACCESS_KEY is not"),
    (env({"AWS_SECRET_ACCESS_KEY": "hunter2"}), "AWS_ACCESS_KEY_ID is not"),
    (env({}, {"AWS_SECRET_ACCESS_KEY": "hunter2"}), "AWS_ACCESS_KEY_ID is not"),
    (env({"AWS_ACCESS_KEY_ID": "AK"}, {"AWS_SECRET_ACCESS_KEY": "hunter2"}), "AWS_ACCESS_KEY_ID is not"),
    (env({}, {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": ""}), "AWS_SECRET_ACCESS_KEY is not"),
]


@pytest.mark.parametrize(("environment", "words"), HALVES)
def test_half_a_pair_of_keys_is_refused(environment: Environment, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        resolve_access(environment)
    assert caught.value.name == "aws-keys-half-set"
    assert "hunter2" not in str(caught.value)


def test_files_are_carried_over_from_env_files_only() -> None:
    names = {"AWS_CA_BUNDLE": "/ca", "AWS_CONFIG_FILE": "/config", "AWS_SHARED_CREDENTIALS_FILE": "/credentials"}
    found = access({}, names)
    assert (found.ca_bundle, found.config_file, found.shared_credentials_file) == ("/ca", "/config", "/credentials")
    assert access(names) == S3Access()
    assert access({}, names, options={"AWS_CA_BUNDLE": "/other"}).ca_bundle == "/other"


TOKEN_FILE = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}
WARNINGS: list[tuple[tuple[Values, ...], list[str]]] = [
    (({}, TOKEN_FILE), ["aws-setting-not-applied"]),
    ((TOKEN_FILE, TOKEN_FILE), []),
    ((TOKEN_FILE,), []),
    (({}, {"AWS_WEB_IDENTITY_TOKEN_FILE": ""}), []),
    (({}, KEYS, {"AWS_SESSION_TOKEN": "T"}), ["aws-setting-not-applied"]),
    (({}, {**KEYS, "AWS_SESSION_TOKEN": "T"}), []),
    (({}, {"AWS_ENDPOINT_URL_SQS": "http://q", "AWS_DEFAULT_REGION": "eu-west-1"}), []),
    (({"AWS_REGION": "eu-west-1"},), ["aws-region-ignored"]),
    (({}, {"AWS_REGION": "eu-west-1"}), ["aws-region-ignored"]),
    (({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},), []),
]


@pytest.mark.parametrize(("layers", "names"), WARNINGS)
def test_access_findings(layers: tuple[Values, ...], names: list[str]) -> None:
    assert warned(*layers) == names


def test_every_access_setting_has_its_origin() -> None:
    process = {"AWS_ENDPOINT_URL": "http://a", **KEYS, "AWS_CA_BUNDLE": "/ca"}
    found = resolve_access(env(process, {"AWS_DEFAULT_REGION": "eu-west-1"})).settings
    assert {(setting.name, setting.shown, setting.origin) for setting in found} == {
        ("AWS_ENDPOINT_URL", "http://a", "environment"),
        ("AWS_DEFAULT_REGION", "eu-west-1", "0.env line 1"),
        ("AWS_ACCESS_KEY_ID", "AK", "environment"),
        ("AWS_SECRET_ACCESS_KEY", "***", "environment"),
        ("AWS_CA_BUNDLE", "/ca", "environment"),
    }


# --- what to write for Bytes ---


def disk(root: str, folder: int = 0o740, file: int = 0o640) -> DiskLocation:
    return DiskLocation(root=Path(root), folder_mode=folder, file_mode=file)


def s3(naming: SingleBucket | BucketPerOrganization, **values: str) -> S3Location:
    return S3Location(naming=naming, access=S3Access(**values))  # type: ignore[arg-type]


LINES = [
    (disk("/data"), {"BYTES_DATA_DIR": "/data"}),
    (
        disk('/my data/"x"\\y', 0o700, 0o600),
        {"BYTES_DATA_DIR": '/my data/"x"\\y'} | {"BYTES_FOLDER_PERMISSION": "700", "BYTES_FILE_PERMISSION": "600"},
    ),
    (s3(SingleBucket("b")), {"S3_BUCKET": "b", "BUCKET_PER_ORG": "false"}),
    (
        s3(BucketPerOrganization("cyn-"), endpoint_url="http://a:1", region="eu-west-1", ca_bundle="/c a"),
        {
            "S3_BUCKET_PREFIX": "cyn-",
            "BUCKET_PER_ORG": "true",
            "AWS_ENDPOINT_URL": "http://a:1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_CA_BUNDLE": "/c a",
        },
    ),
]


@pytest.mark.parametrize("name", ["new.env", "new.conf"])
@pytest.mark.parametrize(("location", "expected"), LINES)
def test_settings_lines_are_read_back_alike_in_both_syntaxes(
    tmp_path: Path, name: str, location: DiskLocation | S3Location, expected: dict[str, str]
) -> None:
    path = tmp_path / name
    path.write_text("\n".join(settings_lines(location)))
    assert {setting.name: setting.value for setting in read_env_file(path)} == expected


def test_settings_lines_for_disk_name_what_to_remove() -> None:
    comments = [line for line in settings_lines(disk("/data")) if line.startswith("#")]
    assert "S3_BUCKET=" in comments[0]
    assert "S3_BUCKET_PREFIX=" in comments[0]


def test_settings_lines_name_keys_without_values() -> None:
    secret = Secret("hunter2")
    location = S3Location(naming=SingleBucket("b"), access=S3Access(access_key_id="AK1", secret_access_key=secret))
    text = "\n".join(settings_lines(location))
    assert "AWS_ACCESS_KEY_ID=" in text
    assert "AK1" not in text
    assert "hunter2" not in text
    assert "# remove the line AWS_ENDPOINT_URL=" in text
