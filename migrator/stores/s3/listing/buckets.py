"""Buckets: whether one is there, making one, and finding those of the organizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from migrator.core.errors import AccessDenied, BucketMissing, StoreError, Vanished
from migrator.stores.s3.errors.error_fields import code_of
from migrator.stores.s3.errors.mapping import translate, translated
from migrator.stores.s3.listing.consistency import broken
from migrator.stores.s3.listing.pages import Lister, Retry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ALREADY_OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
_NO_LOCATION_HERE = ("InvalidLocationConstraint", "IllegalLocationConstraintException")


def bucket_exists(client: S3Client, bucket: str) -> bool:
    """Whether the bucket is there and ours to use. Raises AccessDenied, with the reason that HEAD keeps to itself, and Unavailable."""
    try:
        client.head_bucket(Bucket=bucket)
    except Exception as error:
        fault = translate(error, f"s3://{bucket}")
        if isinstance(fault, (Vanished, BucketMissing)):
            return False
        if not fault.temporary:
            return _exists_by_listing(client, bucket)
        raise fault from error
    return True


def _exists_by_listing(client: S3Client, bucket: str) -> bool:
    """The answer to HEAD has no error code; one listing tells the true one, or that only HEAD is forbidden."""
    try:
        next(Lister(client, lambda ask: ask()).objects(bucket, "", page_size=1), None)
    except (Vanished, BucketMissing):
        return False
    return True


def create_bucket(client: S3Client, bucket: str, region: str | None) -> None:
    """Make the bucket; fine if it is ours already. Raises StoreError where the server refuses or fails.

    `region` is sent as location only where it was set and the server is AWS.
    """
    parameters: dict[str, Any] = {}
    if region and region != "us-east-1" and client.meta.endpoint_url.endswith(".amazonaws.com"):
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        client.create_bucket(Bucket=bucket, **parameters)
    except Exception as error:
        code = code_of(error)
        if code in _ALREADY_OURS and bucket_exists(client, bucket):
            return
        if code in _NO_LOCATION_HERE and parameters:
            create_bucket(client, bucket, None)
            return
        fault = translate(error, f"s3://{bucket}")
        if code in _ALREADY_OURS:
            fault = AccessDenied(
                "bucket-of-another",
                f"The bucket {bucket} belongs to somebody else.",
                cure="Choose another prefix or name: all users share the server's names.",
            )
        raise fault from error


def buckets_with_prefix(client: S3Client, prefix: str, retry: Retry) -> list[str]:
    """Names of our buckets that start with the prefix, ascending. Raises AccessDenied where listing buckets is forbidden."""

    def ask(**more: str) -> Mapping[str, Any]:
        def once() -> Mapping[str, Any]:
            with translated("the list of buckets"):
                return client.list_buckets(**more)  # type: ignore[arg-type]

        answer: Mapping[str, Any] = retry(once)
        return answer

    return sorted(name for name in _all_buckets(ask) if name.startswith(prefix))


def _all_buckets(ask: Callable[..., Mapping[str, Any]]) -> list[str]:
    """Return the names on all pages of ListBuckets, each once; `ask` makes the call, with ContinuationToken or without.

    Raises:
        StoreError: If an answer is no list of buckets, or a page leads to one that was there before.
    """  # noqa: DOC501 made by broken
    names: dict[str, None] = {}
    answer = ask()
    tokens = {""}
    while True:
        if "Buckets" not in answer:
            raise StoreError("listing-broken", "The answer to listing the buckets is no list of buckets.")
        names.update(dict.fromkeys(found["Name"] for found in answer["Buckets"]))
        token = str(answer.get("ContinuationToken") or "")
        if not token:
            return list(names)
        if token in tokens:
            raise broken("the buckets", "a page has a token for more, and it leads to a page that was there before")
        tokens.add(token)
        answer = ask(ContinuationToken=token)
