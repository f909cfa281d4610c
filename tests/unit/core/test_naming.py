"""Where Bytes looks for raw files, as tables; `tests/properties/test_naming_laws.py` holds the laws."""

import pytest
from botocore.exceptions import ParamValidationError
from botocore.handlers import validate_bucket_name

from migrator.core.entities import RawFile, RawId
from migrator.core.naming import (
    BucketPerOrganization,
    SingleBucket,
    broken_bucket_rule,
    disk_path_of,
    is_organization,
    is_sent_by_boto3,
    raw_file_at_disk_path,
)

RAW_ID = RawId("0123abcd-4567-89ab-cdef-0123456789ab")
OTHER = "fff3abcd-4567-89ab-cdef-0123456789ab"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", True),
        ("gemeente-éé", True),
        ("市役所", True),
        ("a_b-9", True),
        ("-", True),
        ("9" * 32, True),
        ("é" * 32, True),
        ("9" * 33, False),
        ("", False),
        ("A", False),
        ("ÉÉ", False),
        ("a b", False),
        ("a.b", False),
        (".", False),
        ("..", False),
        ("a/b", False),
        ("a\n", False),
        ("a\x00", False),
        ("caf\udce9", False),
        ("e\u0301", False),
    ],
)
def test_organization_is_a_lower_case_slug_of_any_script(name: str, expected: bool) -> None:
    assert is_organization(name) is expected


def test_disk_path() -> None:
    raw_file = RawFile("org-a", RAW_ID)
    assert disk_path_of(raw_file) == f"org-a/012/{RAW_ID}"
    assert raw_file_at_disk_path(f"org-a/012/{RAW_ID}") == raw_file


@pytest.mark.parametrize(
    "path",
    [
        f"org-a/fff/{RAW_ID}",
        f"org-a/01/{RAW_ID}",
        f"org-a/0123/{RAW_ID}",
        f"org-a/{RAW_ID}",
        f"org-a//{RAW_ID}",
        f"/org-a/012/{RAW_ID}",
        f"org-a/012/nested/{RAW_ID}",
        f"org-a/012/{RAW_ID}/",
        f"org-a/012/{RAW_ID.upper()}",
        f"ORG/012/{RAW_ID}",
        f"../012/{RAW_ID}",
        f"/012/{RAW_ID}",
        "org-a/012/",
        "",
    ],
)
def test_nothing_else_on_disk_is_a_raw_file(path: str) -> None:
    assert raw_file_at_disk_path(path) is None


def test_single_bucket_keeps_organizations_apart_by_key() -> None:
    naming, raw_file = SingleBucket("bytes"), RawFile("gemeente-éé", RAW_ID)
    assert naming.bucket_of("gemeente-éé") == "bytes"
    assert naming.key_prefix_of("gemeente-éé") == "gemeente-éé/"
    assert naming.key_of(raw_file) == f"gemeente-éé/{RAW_ID}"
    assert naming.raw_file_at("bytes", f"gemeente-éé/{RAW_ID}") == raw_file
    assert str(naming) == "s3://bytes/{organization}"


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("other", f"org/{RAW_ID}"),
        ("bytes", RAW_ID),
        ("bytes", f"/{RAW_ID}"),
        ("bytes", f"org/012/{RAW_ID}"),
        ("bytes", f"org//{RAW_ID}"),
        ("bytes", f"org/{RAW_ID}/"),
        ("bytes", f"org/{RAW_ID.upper()}"),
        ("bytes", f"ORG/{RAW_ID}"),
        ("bytes", f"../{RAW_ID}"),
        ("bytes", "org/"),
        ("bytes", ""),
    ],
)
def test_nothing_else_in_a_single_bucket_is_a_raw_file(bucket: str, key: str) -> None:
    assert SingleBucket("bytes").raw_file_at(bucket, key) is None


def test_bucket_per_organization_keeps_organizations_apart_by_bucket() -> None:
    naming, raw_file = BucketPerOrganization("bytes-"), RawFile("org-a", RAW_ID)
    assert naming.bucket_of("org-a") == "bytes-org-a"
    assert naming.key_prefix_of("org-a") == ""
    assert naming.key_of(raw_file) == RAW_ID
    assert naming.raw_file_at("bytes-org-a", RAW_ID) == raw_file
    assert naming.organization_of("bytes-org-a") == "org-a"
    assert str(naming) == "s3://bytes-{organization}"


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("bytes-", RAW_ID),
        ("bytes", RAW_ID),
        ("other-org-a", RAW_ID),
        ("bytes-a.b", RAW_ID),
        ("bytes-org-a", f"org-a/{RAW_ID}"),
        ("bytes-org-a", f"012/{RAW_ID}"),
        ("bytes-org-a", RAW_ID.upper()),
        ("bytes-org-a", ""),
        (f"bytes-{'o' * 33}", RAW_ID),
    ],
)
def test_nothing_else_in_a_bucket_of_its_own_is_a_raw_file(bucket: str, key: str) -> None:
    assert BucketPerOrganization("bytes-").raw_file_at(bucket, key) is None


def test_an_empty_prefix_makes_every_bucket_an_organizations() -> None:
    assert BucketPerOrganization("").organization_of("org-a") == "org-a"


@pytest.mark.parametrize("bucket", ["abc", "a" * 63, "a.b-c", "0-0", "1.2.3", "256.1.1.1.1", "xn-a", "a--b"])
def test_valid_bucket_names(bucket: str) -> None:
    assert broken_bucket_rule(bucket) is None


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("", "3 to 63 characters, this one has 0"),
        ("ab", "3 to 63"),
        ("a" * 64, "this one has 64"),
        ("OpenKAT-org", "upper-case"),
        ("openkat-ÉÉ", "upper-case"),
        ("my_org", "not '_'"),
        ("openkat-éé", "not 'é'"),
        ("a b", "not ' '"),
        ("abc\n", "U+000A"),
        ("abc\x1b[0m", "U+001B"),
        ("a/b", "not '/'"),
        ("openkat-", "begins and ends"),
        ("-openkat", "begins and ends"),
        ("openkat.", "begins and ends"),
        ("a..b", "two dots"),
        ("192.168.5.4", "IP address"),
        ("xn--abc", "'xn--'"),
        ("sthree-configurator", "'sthree-'"),
        ("amzn-s3-demo-bucket", "'amzn-s3-demo-'"),
        ("abc-s3alias", "'-s3alias'"),
        ("abc--ol-s3", "'--ol-s3'"),
        ("abc.mrap", "'.mrap'"),
        ("abc--x-s3", "'--x-s3'"),
        ("abc--table-s3", "'--table-s3'"),
    ],
)
def test_the_broken_rule_is_told_in_words(bucket: str, words: str) -> None:
    told = broken_bucket_rule(bucket)
    assert told is not None
    assert words in told
    assert told.isprintable()


def test_defaults_of_bytes_make_invalid_names() -> None:
    assert broken_bucket_rule("OpenKAT")
    assert broken_bucket_rule(BucketPerOrganization("OpenKAT-").bucket_of("org"))


def test_other_id_for_the_tables_is_a_raw_id() -> None:
    assert raw_file_at_disk_path(f"org/fff/{OTHER}") == RawFile("org", RawId(OTHER))


NAMES = [
    "OpenKAT-a",
    "raw-b_c",
    "raw-é",
    "raw-²",
    "r" * 64,
    "r" * 255,
    "r" * 256,
    "ends-",
    "a..b",
    "10.0.0.1",
    "a",
    "",
    "a b",
    "a/b",
]


@pytest.mark.parametrize("bucket", NAMES)
def test_boto3_sends_what_it_is_said_to_send(bucket: str) -> None:
    """Held against botocore itself: what Bytes' client refuses never reaches a server, whatever that would take."""
    try:
        validate_bucket_name({"Bucket": bucket})
    except ParamValidationError:
        assert not is_sent_by_boto3(bucket)
    else:
        assert is_sent_by_boto3(bucket)


def test_names_of_directory_buckets_are_not_sent_as_buckets() -> None:
    assert not is_sent_by_boto3("raw-a--x-s3")
