"""Endpoints, regions and keys: what boto3 refuses is refused before any request, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import InvalidRegionError
from botocore.utils import is_valid_uri, validate_region_name

from migrator.config.endpoints import checked_endpoint, checked_region, refuse_broken_key, refuse_bucket_in_endpoint
from migrator.config.env_file import Setting
from migrator.core.errors import SettingsError
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket

SECRET = "hunter2hunter2"


def setting(name: str, value: str) -> Setting:
    return Setting(name, value, "new.env line 3")


def error_of(check: Callable[..., object], *arguments: object) -> SettingsError | None:
    try:
        check(*arguments)
    except SettingsError as error:
        told = error
    else:
        return None
    assert told.exit_status == 2
    assert "new.env line 3" in told.what
    assert told.why
    assert told.cure
    return told


HOSTS = [
    "host",
    "127.0.0.1",
    "[::1]",
    "[fe80::1%25eth0]",
    "host.",
    "a.b-c.d",
    "xn--bcher-kva.example",
    "HOST",
    "1",
    "s3_server",
]
HOSTS += [
    "a_b.example",
    "hé",
    "a..b",
    "-a",
    "a-",
    "a.-b",
    "h%20x",
    "a" * 63,
    "a" * 64,
    "a*b",
    "a,b",
    ".".join(["a" * 50] * 6),
]
REGIONS = [
    "us-east-1",
    "eu",
    "dc_one",
    "dc one",
    "-a",
    "a-",
    "123",
    "1a",
    "é",
    "a.b",
    "us-east-1\n",
    "a" * 63,
    "a" * 64,
    "a/b",
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_are_taken_and_refused_as_boto3_does(host: str) -> None:
    url = f"http://{host}:8333/base"
    error = error_of(checked_endpoint, setting("AWS_ENDPOINT_URL", url))
    assert (error is None) == bool(is_valid_uri(url))
    if error is not None:
        assert error.name == "endpoint-host"


def test_an_underscore_is_named_with_the_way_around() -> None:
    error = error_of(checked_endpoint, setting("AWS_ENDPOINT_URL", "http://s3_server:8333"))
    assert error is not None
    assert "'_'" in error.why
    assert "network alias" in error.cure


@pytest.mark.parametrize("region", REGIONS)
def test_regions_are_taken_and_refused_as_boto3_does(region: str) -> None:
    try:
        validate_region_name(region)
        is_valid = not region.endswith("\n")  # which breaks the header that it is signed in
    except InvalidRegionError:
        is_valid = False
    error = error_of(checked_region, setting("AWS_DEFAULT_REGION", region))
    assert (error is None) == is_valid
    if error is not None:
        assert error.name == "region-invalid"
        assert "AWS_DEFAULT_REGION" in error.what


NO_ENDPOINTS = [
    "s3.example.org:8333",
    "//host",
    "s3://bucket",
    "http://host/?x=1",
    "http://host/?",
    "http://host/#",
    "http://host#x",
    "http://host:8333\n",
    " http://host",
    '"http://host"',
    "'http://host'",
    f"https://host/key?X-Amz-Signature={SECRET}",
    f"https://host/key?AWSAccessKeyId=A&Signature={SECRET}",
    f"host/?sig={SECRET}",
    f"{SECRET}@host",
]


@pytest.mark.parametrize("url", NO_ENDPOINTS)
def test_what_is_no_endpoint_is_told_without_its_query(url: str) -> None:
    error = error_of(checked_endpoint, setting("AWS_ENDPOINT_URL", url))
    assert error is not None
    assert error.name == "endpoint-not-a-url"
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "login", [f"key:{SECRET}", f":{SECRET}", SECRET, f"key:{SECRET}/with/slashes+and=more", f"key:8333{SECRET}"]
)
def test_a_login_in_an_endpoint_is_not_shown(login: str) -> None:
    error = error_of(checked_endpoint, setting("AWS_ENDPOINT_URL", f"http://{login}@host:8333"))
    assert error is not None
    assert error.name == "endpoint-with-login"
    assert SECRET not in str(error)


KEYS = [
    ("AWS_ACCESS_KEY_ID", f"{SECRET}\n", "line feed"),
    ("AWS_ACCESS_KEY_ID", f"{SECRET}\r\n", "line feed"),
    ("AWS_SECRET_ACCESS_KEY", f"{SECRET}\n", "line feed"),
    ("AWS_SESSION_TOKEN", f"{SECRET}\n{SECRET}", "control character"),
    ("AWS_SECRET_ACCESS_KEY", f"\t{SECRET}", "control character"),
    ("AWS_ACCESS_KEY_ID", f"{SECRET} ", "space"),
    ("AWS_ACCESS_KEY_ID", f"é{SECRET}", "letter"),
    ("AWS_SECRET_ACCESS_KEY", f"'{SECRET}'", "quotes"),
    ("AWS_ACCESS_KEY_ID", f'"{SECRET}"', "quotes"),
    ("AWS_ACCESS_KEY_ID", SECRET, ""),
    ("AWS_SECRET_ACCESS_KEY", "a b/+=é'", ""),
]


@pytest.mark.parametrize(("name", "value", "words"), KEYS)
def test_keys_that_cannot_be_sent(name: str, value: str, words: str) -> None:
    error = error_of(refuse_broken_key, setting(name, value))
    assert (error is None) == (not words)
    if error is not None:
        assert error.name == "aws-key-characters"
        assert name in error.what
        assert words in error.what
        assert SECRET not in str(error)


ONE, EACH = SingleBucket("raws"), BucketPerOrganization("openkat-")
BUCKETS: list[tuple[Naming, str, str | None]] = [
    # naming, endpoint, the endpoint that is the cure; None where it is fine
    (ONE, "http://raws.s3.example.org:9000", "http://s3.example.org"),
    (ONE, "https://raws.s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
    (ONE, "https://other.s3.amazonaws.com", "https://s3.amazonaws.com"),
    (SingleBucket("my.raws"), "http://my.raws.example.org", "http://raws.example.org"),
    (ONE, "http://host:9000/raws", "http://host:9000"),
    (ONE, "http://host:9000/base/raws/", "http://host:9000"),
    (EACH, "http://host/openkat-acme", "http://host"),
    (EACH, "http://host/openkat", "http://host"),
    (EACH, "https://openkat-acme.s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
    (EACH, "https://openkat-acme.s3.example.org", "https://s3.example.org"),
    (ONE, "http://raws:9000", None),
    (ONE, "http://host/base", None),
    (ONE, "http://host/raws/base", None),
    (ONE, "http://rawstore.example.org", None),
    (SingleBucket("minio"), "http://minio.example.org", None),
    (ONE, "https://s3.eu-west-1.amazonaws.com", None),
    (ONE, "https://s3.dualstack.eu-west-1.amazonaws.com", None),
    (ONE, "https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com", None),
    (EACH, "http://openkat-s3.example.org", None),
    (EACH, "http://host/base", None),
]


@pytest.mark.parametrize(("naming", "url", "cure"), BUCKETS)
def test_an_endpoint_that_repeats_the_bucket(naming: Naming, url: str, cure: str | None) -> None:
    error = error_of(refuse_bucket_in_endpoint, naming, setting("AWS_ENDPOINT_URL", url))
    assert (error is None) == (cure is None)
    if error is not None:
        assert error.name == "endpoint-with-bucket"
        assert error.cure.startswith(f"Write the server alone: {cure}")
