"""The words of ``--from`` and ``--to``: what each means, what it takes from where, and what is invalid."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from migrator.config.location_resolution import active_locations, resolve_locations
from migrator.config.locations import DiskLocation, Location, Locations, Overrides, S3Access, S3Location
from migrator.core.errors import SettingsError
from migrator.core.naming import BucketPerOrganization, SingleBucket

SINGLE = {"S3_BUCKET": "b", "BUCKET_PER_ORG": "false"}
EACH = {"S3_BUCKET_PREFIX": "cyn-", "BUCKET_PER_ORG": "true"}


def resolve(
    from_: str | None = None,
    to: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    env_files: Sequence[Path] = (),
    debian_files: Sequence[Path] = (),
    **options: Any,
) -> Locations:
    return resolve_locations(
        from_,
        to,
        env_files=env_files,
        overrides=Overrides(**options),
        environ=environ or {},
        debian_files=debian_files,
    )


def refused(name: str, *words: str | None, **given: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        resolve(*words, **given)
    error = caught.value
    assert error.name == name
    assert error.what
    assert error.why
    assert error.cure
    return error


def findings(found: Locations) -> dict[str, str]:
    return {finding.name: finding.status.value for finding in found.findings}


def write(path: Path, values: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def root_of(location: Location) -> str:
    assert isinstance(location, DiskLocation)
    return str(location.root)


def naming_of(location: Location) -> object:
    assert isinstance(location, S3Location)
    return location.naming


def access_of(location: Location) -> S3Access:
    assert isinstance(location, S3Location)
    return location.access


PAIRS = [
    (None, "s3", "disk", "s3"),
    ("disk", None, "disk", "s3"),
    ("disk", "s3", "disk", "s3"),
    (None, "disk", "s3", "disk"),
    ("s3", None, "s3", "disk"),
    ("s3", "/elsewhere", "s3", "disk"),
    ("/a", "s3://c/{organization}", "disk", "s3"),
]


@pytest.mark.parametrize(("from_", "to", "source", "target"), PAIRS)
def test_the_other_end_of_disk_and_s3_is_the_opposite(from_: str, to: str, source: str, target: str) -> None:
    kinds = {"disk": DiskLocation, "s3": S3Location}
    found = resolve(from_, to, environ=SINGLE)
    assert isinstance(found.source, kinds[source])
    assert isinstance(found.target, kinds[target])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((None, None), "--to s3"),
        (("/a", None), "Add --to"),
        ((None, "/a"), "Add --from"),
        ((None, "s3://b/{organization}"), "Add --from"),
    ],
)
def test_a_missing_end_says_what_to_type(words: tuple[str | None, str | None], text: str) -> None:
    assert text in refused("locations-missing", *words).cure


TEMPLATES = [
    ("s3://bucket/{organization}", SingleBucket("bucket")),
    ("s3://cyn-{organization}", BucketPerOrganization("cyn-")),
]


@pytest.mark.parametrize(("word", "naming"), TEMPLATES)
def test_templates_round_trip(word: str, naming: SingleBucket | BucketPerOrganization) -> None:
    assert naming_of(resolve("/a", word).target) == naming
    assert str(naming) == word


@pytest.mark.parametrize(
    "word",
    [
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3://{organization}",
        "s3:///{organization}",
        "s3://bucket/{organisation}",
        "s3://bucket/x/{organization}",
        "s3://bucket/{organization}/",
        "s3://p-{organization}-s",
        "S3://bucket/{organization}",
    ],
)
def test_other_templates_are_refused_with_the_two_forms(word: str) -> None:
    cure = refused("location-template", "/a", word).cure
    assert "s3://bucket/{organization}" in cure
    assert "s3://prefix-{organization}" in cure


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    found = resolve("./data", "~/data")
    assert (root_of(found.source), root_of(found.target)) == (str(tmp_path / "data"), "/home/me/data")


def test_words_that_are_no_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for word in ("folder", "dsik", "S3", ""):
        assert f"./{word}" in refused("location-unknown", "/a", word).cure
    (tmp_path / "Acme Corp").mkdir()
    there = refused("location-unknown", "/a", "Acme Corp")
    assert (there.why.split(",")[0], there.cure) == ("A folder has that name", "Type './Acme Corp'.")
    for name in ("gone.env", "gone.conf", "gone.defaults"):
        assert name in refused("env-file-missing", f"./{name}", "/a").what
        assert name in refused("env-file-missing", "/a", name).what, "the name of a file, with or without a slash"
    (tmp_path / "folder.env").mkdir()
    assert root_of(resolve("./folder.env", "/a").source) == str(tmp_path / "folder.env")


# --- the words disk and s3 ---


def test_disk_is_what_bytes_settings_say() -> None:
    values = {"bytes_data_dir": "/srv", "BYTES_FOLDER_PERMISSION": "700", "BYTES_FILE_PERMISSION": "600"}
    found = resolve("disk", "/other", environ=values)
    assert found.source == DiskLocation(root=Path("/srv"), folder_mode=0o700, file_mode=0o600)
    assert resolve("disk", "/other").source == DiskLocation(root=Path("/data"), folder_mode=0o740, file_mode=0o640)


def test_precedence_rises_from_environment_over_files_to_options(tmp_path: Path) -> None:
    first = write(tmp_path / "1.env", {"S3_BUCKET": "one", "BYTES_DATA_DIR": "/one"})
    second = write(tmp_path / "2.env", {"S3_BUCKET": "two"})
    environ = {**SINGLE, "BYTES_DATA_DIR": "/env"}

    def ends(**given: Any) -> tuple[str, object]:
        found = resolve(to="s3", environ=environ, **given)
        return root_of(found.source), naming_of(found.target)

    assert ends() == ("/env", SingleBucket("b"))
    assert ends(env_files=[first]) == ("/one", SingleBucket("one"))
    assert ends(env_files=[first, second]) == ("/one", SingleBucket("two"))
    assert ends(env_files=[second, first]) == ("/one", SingleBucket("one"))
    assert ends(env_files=[first], data_dir="/opt", bucket="opt") == ("/opt", SingleBucket("opt"))


def test_every_setting_knows_its_origin(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.env", {"S3_BUCKET": "one", "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    )
    found = resolve(to="s3", environ={"BYTES_DATA_DIR": "/env"}, env_files=[path], bucket_per_org=False)
    assert {(setting.name, setting.shown, setting.origin) for setting in found.settings} == {
        ("BYTES_DATA_DIR", "/env", "environment"),
        ("BYTES_FOLDER_PERMISSION", "740", "Bytes' default"),
        ("BYTES_FILE_PERMISSION", "640", "Bytes' default"),
        ("S3_BUCKET", "one", f"{path} line 1"),
        ("BUCKET_PER_ORG", "false", "--single-bucket"),
        ("AWS_ACCESS_KEY_ID", "AK", f"{path} line 2"),
        ("AWS_SECRET_ACCESS_KEY", "***", f"{path} line 3"),
    }
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("environ", [{}, {"S3_BUCKET": ""}, {"S3_BUCKET_PREFIX": "", "BUCKET_PER_ORG": "true"}])
def test_s3_that_is_not_set(environ: Mapping[str, str]) -> None:
    cure = refused("s3-not-set", None, "s3", environ=environ).cure
    assert "S3_BUCKET=" in cure
    assert "BUCKET_PER_ORG=false" in cure


@pytest.mark.parametrize("words", [("disk", "/other"), (None, "s3")])
def test_settings_with_which_bytes_would_not_start(words: tuple[str | None, str]) -> None:
    refused("bucket-per-org-invalid", *words, environ={"S3_BUCKET": "b", "BUCKET_PER_ORG": ""})


def test_a_bucket_without_bucket_per_org_is_told() -> None:
    found = resolve(to="s3", bucket="my-bucket")
    assert naming_of(found.target) == BucketPerOrganization("OpenKAT-")
    assert findings(found) == {"bucket-per-org-default": "warning", "default-bucket-name": "warning"}
    meant = resolve(to="s3", bucket="my-bucket", bucket_per_org=False)
    assert naming_of(meant.target) == SingleBucket("my-bucket")
    assert findings(meant) == {}


# --- env files as locations ---


def test_an_env_file_is_the_location_that_bytes_would_use(tmp_path: Path) -> None:
    old = write(tmp_path / "old.env", {"BYTES_DATA_DIR": "/old", "BYTES_FILE_PERMISSION": "600"})
    new = write(tmp_path / "new.conf", EACH)
    found = resolve(str(old), str(new))
    assert found.source == DiskLocation(root=Path("/old"), folder_mode=0o740, file_mode=0o600)
    assert naming_of(found.target) == BucketPerOrganization("cyn-")


def test_bytes_settings_of_an_env_file_come_from_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare").write_text("BYTES_FILE_PERMISSION=600\nBYTES_DATA_DIR=/bare\n")
    Path("bucket").write_text("S3_BUCKET=x\nBUCKET_PER_ORG=off\n")
    environ = {**EACH, "BYTES_DATA_DIR": "/env", "AWS_ENDPOINT_URL": "http://env", "AWS_DEFAULT_REGION": "eu-west-1"}
    extra = write(tmp_path / "extra.env", {"BYTES_DATA_DIR": "/extra", "AWS_ENDPOINT_URL": "http://extra"})
    found = resolve("bare", "bucket", environ=environ, env_files=[extra], region="eu-north-1")
    assert root_of(found.source) == "/bare"
    assert naming_of(found.target) == SingleBucket("x")
    assert access_of(found.target).endpoint_url == "http://env"
    assert access_of(found.target).region == "eu-north-1"


def test_each_end_has_its_own_endpoint_and_keys(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "A1", "AWS_SECRET_ACCESS_KEY": "S1", "AWS_ENDPOINT_URL": "http://one"}
    one = write(tmp_path / "1.env", {**SINGLE, **keys})
    two = write(tmp_path / "2.env", {**SINGLE, "AWS_ENDPOINT_URL": "http://two"})
    found = resolve(str(one), str(two), environ={"AWS_SESSION_TOKEN": "T"})
    assert (access_of(found.source).access_key_id, access_of(found.target).access_key_id) == ("A1", None)
    assert access_of(found.source).session_token is None
    assert (str(found.source), str(found.target)) == (
        "s3://b/{organization} at http://one",
        "s3://b/{organization} at http://two",
    )


def test_explicit_templates_take_access_from_all_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.env", {"AWS_ENDPOINT_URL": "http://file"})
    found = resolve("/a", "s3://b/{organization}", env_files=[path], profile="p")
    assert (access_of(found.target).endpoint_url, access_of(found.target).profile) == ("http://file", "p")


def test_findings_of_an_env_file_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "x.env", {"S3_BUCKET": "b", "S3_BUCKET_PREFIX": "p-", "AWS_ROLE_ARN": "r"})
    assert findings(resolve("/a", str(path))) == {
        "bucket-per-org-default": "warning",
        "aws-setting-not-applied": "warning",
    }


# --- options ---

IDLE: list[tuple[tuple[str, str], dict[str, object], bool]] = [
    (("disk", "s3"), {"data_dir": "/x"}, False),
    (("/a", "s3"), {"data_dir": "/x"}, True),
    (("disk", "s3"), {"bucket": "x"}, False),
    (("disk", "s3://b/{organization}"), {"bucket": "x"}, True),
    (("disk", "s3://b/{organization}"), {"bucket_prefix": "x"}, True),
    (("disk", "s3://b/{organization}"), {"bucket_per_org": False}, True),
    (("disk", "s3://b/{organization}"), {"endpoint_url": "http://x"}, False),
    (("disk", "/b"), {"endpoint_url": "http://x"}, True),
    (("disk", "/b"), {"region": "x"}, True),
    (("disk", "/b"), {"profile": "x"}, True),
    (("disk", "/b"), {"ca_bundle": "x"}, True),
    (("s3", "/b"), {"region": "x", "profile": "x", "ca_bundle": "x"}, False),
]


@pytest.mark.parametrize(("words", "options", "idle"), IDLE)
def test_no_option_is_silently_ignored(words: tuple[str, str], options: dict[str, Any], *, idle: bool) -> None:
    if idle:
        refused("option-without-end", *words, environ=SINGLE, **options)
    else:
        resolve(*words, environ=SINGLE, **options)


@pytest.mark.parametrize(
    ("environ", "options", "cure"),
    [
        (EACH, {"bucket": "x"}, "--single-bucket"),
        (SINGLE, {"bucket_prefix": "x"}, "--bucket-per-org"),
        ({}, {"bucket": "x", "bucket_prefix": "y", "bucket_per_org": True}, "--single-bucket"),
    ],
)
def test_a_bucket_option_that_names_nothing_is_refused(
    environ: Mapping[str, str], options: dict[str, Any], cure: str
) -> None:
    assert cure in refused("option-without-effect", "disk", "s3", environ=environ, **options).cure


def test_a_relative_data_dir_option_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert root_of(resolve(to="s3", environ=SINGLE, data_dir="data").source) == str(tmp_path / "data")
    refused("data-dir-relative", "disk", "s3", environ=SINGLE, data_dir="")


def test_an_endpoint_with_a_login_is_refused() -> None:
    assert "hunter2" not in str(
        refused("endpoint-with-login", None, "s3", environ=SINGLE, endpoint_url="http://me:hunter2@a")
    )


# --- Debian ---


def debian(tmp_path: Path) -> list[Path]:
    return [
        write(
            tmp_path / "bytes.defaults",
            {"BYTES_DATA_DIR": "/var/lib/kat-bytes", "S3_BUCKET": "old", "BUCKET_PER_ORG": "no"},
        ),
        write(tmp_path / "bytes.conf", {"S3_BUCKET": "new"}),
    ]


def test_debian_settings_are_read_for_the_words_disk_and_s3(tmp_path: Path) -> None:
    found = resolve(
        to="s3", environ={"PATH": "/bin", "AWS_PAGER": "", "BYTES_MIGRATOR_JOBS": "4"}, debian_files=debian(tmp_path)
    )
    assert root_of(found.source) == "/var/lib/kat-bytes"
    assert naming_of(found.target) == SingleBucket("new")
    assert findings(found) == {"debian-settings": "pass"}
    assert all(str(path) in found.findings[0].seen for path in debian(tmp_path))


def test_one_debian_file_is_enough(tmp_path: Path) -> None:
    found = resolve(to="s3", debian_files=[debian(tmp_path)[0], tmp_path / "gone.conf"])
    assert naming_of(found.target) == SingleBucket("old")


OTHERS: list[dict[str, Any]] = [
    {"environ": {"AWS_CA_BUNDLE": "/etc/ssl/ca.pem"}},
    {"environ": {"AWS_PROFILE": "p"}},
    {"environ": {"S3_BUCKET_PREFIX": "x-"}},
    {"region": "eu-west-1"},
    {"endpoint_url": "http://host"},
]


@pytest.mark.parametrize("given", OTHERS)
def test_no_other_setting_keeps_debian_settings_from_being_read(tmp_path: Path, given: dict[str, Any]) -> None:
    found = resolve("disk", "s3://b/{organization}", debian_files=debian(tmp_path), **given)
    assert root_of(found.source) == "/var/lib/kat-bytes"
    assert findings(found)["debian-settings"] == "pass"


def test_every_layer_replaces_those_beneath_it_and_each_value_knows_its_file(tmp_path: Path) -> None:
    files = debian(tmp_path)
    own = write(tmp_path / "own.env", {"S3_BUCKET": "file"})

    def bucket(**given: Any) -> tuple[object, str]:
        found = resolve("/a", "s3", debian_files=files, **given)
        return naming_of(found.target), {one.name: one.origin for one in found.settings}["S3_BUCKET"]

    assert bucket() == (SingleBucket("new"), f"{files[1]} line 1")
    environ = {"S3_BUCKET": "env"}
    assert bucket(environ=environ) == (SingleBucket("env"), "environment")
    assert bucket(environ=environ, env_files=[own]) == (SingleBucket("file"), f"{own} line 1")
    assert bucket(environ=environ, env_files=[own], bucket="opt") == (SingleBucket("opt"), "--bucket")


def test_an_environment_that_replaces_debian_settings_is_told(tmp_path: Path) -> None:
    files = debian(tmp_path)
    assert findings(resolve(to="s3", environ={"S3_BUCKET": "new"}, debian_files=files)) == {"debian-settings": "pass"}
    found = resolve(to="s3", environ={"BYTES_DATA_DIR": "/data"}, debian_files=files)
    assert root_of(found.source) == "/data"
    assert findings(found) == {"debian-settings": "warning"}
    assert "BYTES_DATA_DIR" in found.findings[0].seen
    assert found.findings[0].cure.endswith("unset BYTES_DATA_DIR")


DEBIAN_ACCESS = {
    "AWS_ENDPOINT_URL": "http://debian",
    "AWS_ACCESS_KEY_ID": "DK",
    "AWS_SECRET_ACCESS_KEY": "DS",
    "AWS_CA_BUNDLE": "/debian.pem",
}
PROCESS_KEYS = {"AWS_ACCESS_KEY_ID": "PK", "AWS_SECRET_ACCESS_KEY": "PS"}
ACCESS: list[tuple[dict[str, str], dict[str, Any], tuple[str | None, ...]]] = [
    # environment, options; endpoint, key (None: boto3 finds it), CA bundle (None: boto3 finds it)
    ({}, {}, ("http://debian", "DK", "/debian.pem")),
    ({"AWS_ENDPOINT_URL": "http://env"}, {}, ("http://env", "DK", "/debian.pem")),
    (PROCESS_KEYS, {}, ("http://debian", None, "/debian.pem")),
    ({"AWS_PROFILE": "p"}, {}, ("http://debian", None, "/debian.pem")),
    ({"AWS_CA_BUNDLE": "/env.pem"}, {}, ("http://debian", "DK", None)),
    ({}, {"endpoint_url": "http://opt", "ca_bundle": "/opt.pem"}, ("http://opt", "DK", "/opt.pem")),
]


@pytest.mark.parametrize(("environ", "options", "expected"), ACCESS)
def test_access_has_the_same_order(
    tmp_path: Path, environ: dict[str, str], options: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    files = [write(tmp_path / "bytes.conf", {**SINGLE, **DEBIAN_ACCESS})]
    access = access_of(resolve("/a", "s3", environ=environ, debian_files=files, **options).target)
    assert (access.endpoint_url, access.access_key_id, access.ca_bundle) == expected


def test_locations_that_are_named_by_path_env_file_or_template_stand_alone(tmp_path: Path) -> None:
    files = debian(tmp_path)
    own = write(tmp_path / "own.env", SINGLE)
    for found in (
        resolve("/a", "s3://b/{organization}", debian_files=files),
        resolve("/a", str(own), debian_files=files),
        resolve("/a", "s3", environ=SINGLE, debian_files=[tmp_path / "gone.conf"]),
    ):
        assert findings(found) == {}
    beside = resolve("disk", str(own), debian_files=files)
    assert (root_of(beside.source), naming_of(beside.target)) == ("/var/lib/kat-bytes", SingleBucket("b"))


def test_debian_settings_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.conf").mkdir()
    for given in ({}, {"environ": SINGLE}, {"env_files": [write(tmp_path / "own.env", SINGLE)]}):
        cure = refused("debian-settings-unreadable", None, "s3", debian_files=[tmp_path / "bytes.conf"], **given).cure
        assert "root" in cure
        assert "env file" in cure
    resolve("/a", str(tmp_path / "own.env"), debian_files=[tmp_path / "bytes.conf"])


def test_where_bytes_looks_is_known_from_debian_settings_whatever_else_is_given(tmp_path: Path) -> None:
    extra = write(tmp_path / "extra.env", {"AWS_DEFAULT_REGION": "eu-west-1"})
    files = [write(tmp_path / "bytes.conf", {"BYTES_DATA_DIR": "/srv/bytes"})]
    for env_files, environ in (((), {}), ((extra,), {}), ((), {"AWS_PROFILE": "p"})):
        (found,) = active_locations(env_files, Overrides(), environ, files)
        assert root_of(found) == "/srv/bytes"


# --- an env file as a location says where ---

SAYS: list[tuple[str, str | None, str]] = [
    # the file's text; the error's name, None where it says where; what the error names
    ("S3_BUCKETT=b\nBUCKET_PER_ORG=false\n", "env-file-name-mistyped", "S3_BUCKET"),
    ("BYTES_DATA_DIR=/data\nS3_BUCKETT=b\n", "env-file-name-mistyped", "S3_BUCKET"),
    ("BYTES_DATA_DIRR=/srv\n", "env-file-name-mistyped", "BYTES_DATA_DIR"),
    ("S3_BUCKET_NAME=b\n", "env-file-name-mistyped", "S3_BUCKET"),
    ("S3_BUCKET=b\nBUCKET_PER_ORGG=false\n", "env-file-name-mistyped", "BUCKET_PER_ORG"),
    ("S3_BUCKET=b\nBUCKET_PER_ORG=false\nAWS_ENDPOINT_URLL=http://h\n", "env-file-name-mistyped", "AWS_ENDPOINT_URL"),
    ("S3_BUCKET_PREFFIX=p-\nS3_BUCKET=b\nBUCKET_PER_ORG=true\n", "env-file-name-mistyped", "S3_BUCKET_PREFIX"),
    ("", "env-file-without-place", "BYTES_DATA_DIR"),
    ("# S3_BUCKET=b\n", "env-file-without-place", "S3_BUCKET"),
    ("POSTGRES_USER=me\nTZ=UTC\n", "env-file-without-place", "S3_BUCKET"),
    ("S3_BUCKET=\nBUCKET_PER_ORG=false\n", "env-file-without-place", "S3_BUCKET is set to nothing"),
    ("BUCKET_PER_ORG=false\nAWS_ENDPOINT_URL=http://h\n", "env-file-without-place", "S3_BUCKET"),
    ("BUCKET=b\nBUCKET_PER_ORG=false\n", "env-file-without-place", "is S3_BUCKET meant?"),
    ("DATA_DIR=/srv\n", "env-file-without-place", "is BYTES_DATA_DIR meant?"),
    ("BYTES_DATA_DIR=/data\n", None, ""),
    ("bytes_data_dir=/data\nPOSTGRES_USER=me\n", None, ""),
    ("BYTES_DATA_DIR=/data\nS3_BUCKET=\nAWS_ENDPOINT_URLL=x\n", None, ""),
    ("S3_BUCKET=b\nBUCKET_PER_ORG=false\nS3_BUCKET_PREFFIX=p-\n", None, ""),
    ("S3_BUCKET=b\nS3_BUCKET_NAME=b\nBUCKET_PER_ORG=false\n", None, ""),
    ("s3_bucket=b\nbucket_per_org=false\n", None, ""),
]


@pytest.mark.parametrize("end", ["from", "to"])
@pytest.mark.parametrize(("text", "name", "words"), SAYS)
def test_an_env_file_as_a_location_says_where_bytes_stores(
    tmp_path: Path, end: str, text: str, name: str | None, words: str
) -> None:
    path = tmp_path / "new.env"
    path.write_text(text)
    ends = (str(path), "/elsewhere") if end == "from" else ("/elsewhere", str(path))
    environ = {"BYTES_DATA_DIR": "/env", "S3_BUCKET": "env"}
    if name is None:
        resolve(*ends, environ=environ)
    else:
        error = refused(name, *ends, environ=environ)
        assert str(path) in error.what
        assert words in f"{error.what} {error.why} {error.cure}"


def test_the_package_s_defaults_count_beneath_its_settings_file_alone(tmp_path: Path) -> None:
    files = debian(tmp_path)
    files[1].write_text("BYTES_LOG_CFG=/etc/kat/log\n")
    link = tmp_path / "link.conf"
    link.symlink_to(files[1])
    for path in (files[1], link):
        assert naming_of(resolve("/a", str(path), debian_files=files).target) == SingleBucket("old")
    refused("env-file-without-place", "/a", str(files[1]), debian_files=[files[1]])
    other = tmp_path / "other.conf"
    other.write_bytes(files[1].read_bytes())
    refused("env-file-without-place", "/a", str(other), debian_files=files)


MISTYPED = [
    "s3:/bucket/{organization}",
    "s3//bucket/{organization}",
    "./{organization}",
    "s3:bucket/x",
]


@pytest.mark.parametrize("word", MISTYPED)
def test_a_mistyped_template_or_a_url_is_no_folder(word: str) -> None:
    refused("location-template", "/a", word)


LOGINS = ["s3://AK:hunter2@raws/{organization}", "s3://AK:hunter2/x@raws", "S3://hunter2@raws-{organization}"]
LOGINS += [
    "https://raws.s3.example.org/k?X-Amz-Signature=hunter2",
    "http://me:hunter2@host/raws",
    "s3://raws/{organization}?sig=hunter2",
]


@pytest.mark.parametrize("word", LOGINS)
def test_a_location_with_a_login_or_a_signature_is_not_shown(word: str) -> None:
    for words in ((word, "/a"), ("/a", word)):
        assert "hunter2" not in str(refused("location-with-login", *words))


@pytest.mark.parametrize("value", ["AK:hunter2@raws", "s3://AK:hunter2@raws", "raws?sig=hunter2", "http://host/raws"])
@pytest.mark.parametrize("name", ["S3_BUCKET", "S3_BUCKET_PREFIX"])
def test_a_bucket_s_name_that_is_a_url_is_not_shown(name: str, value: str) -> None:
    environ = {name: value, "BUCKET_PER_ORG": str(name == "S3_BUCKET_PREFIX")}
    assert "hunter2" not in str(refused("bucket-name-url", None, "s3", environ=environ))


@pytest.mark.parametrize("value", ["/data\n", "/da\rta"])
def test_a_data_folder_with_a_control_character_is_refused(value: str) -> None:
    refused("data-dir-characters", "disk", "/other", environ={"BYTES_DATA_DIR": value})


AT_AN_END = [
    ({"AWS_ENDPOINT_URL": "http://b.s3.example.org"}, "endpoint-with-bucket"),
    ({"AWS_ENDPOINT_URL_S3": "http://host/b"}, "endpoint-with-bucket"),
    ({"AWS_ENDPOINT_URL": "http://s3_server"}, "endpoint-host"),
    ({"AWS_DEFAULT_REGION": "dc_one"}, "region-invalid"),
    ({"AWS_ACCESS_KEY_ID": "A\n", "AWS_SECRET_ACCESS_KEY": "S"}, "aws-key-characters"),
]


@pytest.mark.parametrize(("values", "name"), AT_AN_END)
@pytest.mark.parametrize("word", ["s3", "s3://b/{organization}", "file"])
def test_settings_that_boto3_refuses_are_refused_at_every_kind_of_end(
    tmp_path: Path, word: str, values: dict[str, str], name: str
) -> None:
    if word == "file":
        path = tmp_path / "new.env"
        path.write_text("".join(f"{key}='{value}'\n" for key, value in {**SINGLE, **values}.items()))
        refused(name, "/a", str(path))
    else:
        refused(name, "/a", word, environ={**SINGLE, **values})


# --- identity ---


def test_the_same_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    endpoint = {"AWS_ENDPOINT_URL": "http://HOST:80/"}
    other = write(tmp_path / "x.env", {**SINGLE, "AWS_ENDPOINT_URL": "http://host"})
    same = [
        (f"{tmp_path}/data", f"{tmp_path}/data/"),
        (f"{tmp_path}/data", f"{tmp_path}/link"),
        (f"{tmp_path}/data", f"{tmp_path}/link/inside"),
        (f"{tmp_path}", f"{tmp_path}/data"),
        ("s3", "s3"),
        ("s3", "s3://b/{organization}"),
        ("s3", str(other)),
        ("disk", "/data"),
    ]
    for words in same:
        refused("same-place", *words, environ={**SINGLE, **endpoint})


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("/data", "/data2"),
        ("s3://a/{organization}", "s3://b/{organization}"),
        ("s3://a/{organization}", "s3://a{organization}"),
        ("s3://a-{organization}", "s3://a-a-{organization}"),
    ],
)
def test_different_places_are_not_the_same(source: str, target: str) -> None:
    found = resolve(source, target)
    assert found.source.identity != found.target.identity
    assert pickle.loads(pickle.dumps(found)) == found


def test_locations_read_well() -> None:
    found = resolve("/data", "s3://cyn-{organization}", endpoint_url="http://127.0.0.1:8333")
    assert str(found.source) == "/data (disk)"
    assert str(found.target) == "s3://cyn-{organization} at http://127.0.0.1:8333"
    assert str(resolve("/data", "s3://cyn-{organization}").target) == "s3://cyn-{organization} at AWS"


# --- where Bytes reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "environ", "options", "is_target"),
    [
        (("disk", "s3"), {**SINGLE, "BYTES_DATA_DIR": "/data"}, {}, True),
        (("disk", "s3"), {**SINGLE, "BYTES_DATA_DIR": "/data"}, {"bucket": "another"}, False),
        (("s3", "disk"), {**SINGLE, "BYTES_DATA_DIR": "/data"}, {}, False),
        (("/old", "/data"), {"BYTES_DATA_DIR": "/data"}, {}, True),
        (("/data", "/new"), {"BYTES_DATA_DIR": "/data"}, {}, False),
        (("/old", "/data"), {}, {}, False),  # /data is Bytes' default, and nobody said that Bytes has it
        (("/old", "s3://b/{organization}"), {"S3_BUCKET": "b", "BUCKET_PER_ORG": "maybe"}, {}, False),
    ],
)
def test_where_bytes_own_settings_point(
    words: tuple[str, str], environ: dict[str, str], options: dict[str, Any], is_target: bool
) -> None:
    found = resolve(*words, environ=environ, **options)
    assert (found.bytes_reads is not None and found.bytes_reads.identity == found.target.identity) is is_target


@pytest.mark.parametrize(("word", "meant"), [("S3", "s3"), ("Disk", "disk"), ("dsik", "disk")])
def test_a_word_that_is_nearly_a_location_gets_the_right_one(word: str, meant: str) -> None:
    assert refused("location-unknown", "/a", word).what == f"Unknown location {word!r}; did you mean {meant}?"


@pytest.mark.parametrize("word", ["https://s3.example.org", "http://127.0.0.1:8333/bucket"])
def test_the_address_of_a_server_is_named_as_such(word: str) -> None:
    assert "--endpoint-url" in refused("location-is-url", "/a", word).cure
