"""Laws of the naming strategies: what one names it reads back, nothing else is read back, and no two raw files meet."""

import re

import pytest
from botocore.handlers import VALID_BUCKET
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from migrator.core.entities import RawFile, RawId, is_raw_id
from migrator.core.naming import (
    BucketPerOrganization,
    Naming,
    SingleBucket,
    broken_bucket_rule,
    disk_path_of,
    is_organization,
    raw_file_at_disk_path,
)
from tests import strategies
from tests.conftest import FreshNames
from tests.servers import S3Server

NAMINGS: list[Naming] = [
    SingleBucket("bytes"),
    BucketPerOrganization("bytes-"),
    BucketPerOrganization(""),
    BucketPerOrganization("a"),
]
each_naming = pytest.mark.parametrize("naming", NAMINGS, ids=str)

# From AWS's documentation of bucket names; addresses, two dots and affixes that came later stand beside it.
AWS_PATTERN = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")
AWS_ADDRESS = re.compile(r"((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}")
AWS_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")

A_ID = RawId("0123abcd-4567-89ab-cdef-0123456789ab")


@given(strategies.organizations())
def test_every_lower_case_slug_is_an_organization(organization: str) -> None:
    assert is_organization(organization)


@pytest.mark.row(27, 28, 76)
@given(strategies.hostile_names())
def test_hostile_names_are_neither_raw_id_nor_organization_with_a_raw_id(name: str) -> None:
    assert not is_raw_id(name)
    assert raw_file_at_disk_path(f"org/{name[:3]}/{name}") is None
    assert SingleBucket("bytes").raw_file_at("bytes", f"org/{name}") is None
    assert BucketPerOrganization("bytes-").raw_file_at("bytes-org", name) is None


@given(strategies.raw_files())
def test_disk_round_trip(raw_file: RawFile) -> None:
    assert raw_file_at_disk_path(disk_path_of(raw_file)) == raw_file


@each_naming
@given(raw_file=strategies.raw_files())
def test_s3_round_trip(naming: Naming, raw_file: RawFile) -> None:
    bucket, key = naming.bucket_of(raw_file.organization), naming.key_of(raw_file)
    assert naming.raw_file_at(bucket, key) == raw_file
    assert key == naming.key_prefix_of(raw_file.organization) + raw_file.raw_id


@pytest.mark.row(28)
@given(strategies.raw_files(), strategies.raw_files())
@example(RawFile("a", A_ID), RawFile("a-b", A_ID))
def test_two_raw_files_never_share_a_name(one: RawFile, other: RawFile) -> None:
    assume(one != other)
    assert disk_path_of(one) != disk_path_of(other)
    for naming in NAMINGS:
        names = {(naming.bucket_of(which.organization), naming.key_of(which)) for which in (one, other)}
        assert len(names) == 2, naming


@given(strategies.any_text())
@example(f"org/012/{A_ID}")
def test_whatever_is_read_from_disk_is_what_would_be_named_there(path: str) -> None:
    raw_file = raw_file_at_disk_path(path)
    assert raw_file is None or disk_path_of(raw_file) == path


@each_naming
@given(
    bucket=st.one_of(
        st.just("bytes"), strategies.organizations().map(lambda name: f"bytes-{name}"), st.text(max_size=40)
    ),
    key=strategies.any_text(),
)
@example(bucket="bytes", key=f"org/{A_ID}")
@example(bucket="bytes-org", key=A_ID)
def test_whatever_is_read_from_s3_is_what_would_be_named_there(naming: Naming, bucket: str, key: str) -> None:
    raw_file = naming.raw_file_at(bucket, key)
    if raw_file is not None:
        assert (naming.bucket_of(raw_file.organization), naming.key_of(raw_file)) == (bucket, key)


@given(strategies.raw_files(), strategies.raw_files())
def test_within_an_organization_all_strategies_keep_the_same_order(one: RawFile, other: RawFile) -> None:
    """Comparing is a merge only because folders in order give the byte order of a listing."""
    other = other._replace(organization=one.organization)
    by_path = disk_path_of(one) < disk_path_of(other)
    for naming in NAMINGS:
        assert (naming.key_of(one).encode() < naming.key_of(other).encode()) is by_path


@given(strategies.valid_buckets())
def test_valid_bucket_names_break_no_rule(bucket: str) -> None:
    assert broken_bucket_rule(bucket) is None


@given(strategies.invalid_buckets())
def test_invalid_bucket_names_break_a_rule(bucket: str) -> None:
    told = broken_bucket_rule(bucket)
    assert told
    assert told.isprintable()


@given(st.one_of(strategies.valid_buckets(), strategies.invalid_buckets(), st.text("a1.-_A", max_size=66)))
def test_the_rules_are_those_of_aws(bucket: str) -> None:
    valid = bool(
        AWS_PATTERN.fullmatch(bucket) and not AWS_ADDRESS.fullmatch(bucket) and not bucket.endswith(AWS_SUFFIXES)
    )
    assert (broken_bucket_rule(bucket) is None) is valid
    if valid:
        assert re.fullmatch(VALID_BUCKET, bucket), "boto3 would refuse it before asking the server"


@pytest.mark.parametrize(
    "name",
    [
        "OpenKAT-{}",
        "with_{}",
        "a..{}",
        "{}-",
        "{}.",
        "-{}",
        "xn--{}",
        "{}-s3alias",
        "12",
        "192.168.5.4",
        "{}" + "x" * 60,
    ],
)
def test_a_real_server_refuses_what_breaks_a_rule(weed: S3Server, fresh_names: FreshNames, name: str) -> None:
    bucket, client = name.format(fresh_names.token), weed.client()
    assert broken_bucket_rule(bucket)
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.create_bucket(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "InvalidBucketName"


@settings(max_examples=10)
@given(bucket=strategies.valid_buckets())
def test_a_real_server_takes_what_breaks_none(weed: S3Server, bucket: str) -> None:
    client = weed.client()
    client.create_bucket(Bucket=bucket)
    client.delete_bucket(Bucket=bucket)
