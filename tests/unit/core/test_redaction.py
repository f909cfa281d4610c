"""Secrets in texts are not shown, and nothing else is hidden."""

from __future__ import annotations

import pytest

from migrator.core.redaction import without_secrets

S = "hunter2"
HIDES = [
    (f"at s3://AK:{S}@bucket/x", "at s3://***@bucket/x"),
    (f"s3://AK:{S}/a+b@bucket", "s3://***@bucket"),
    (f"http://{S}@host", "http://***@host"),
    (f"postgresql://me:{S}@db/bytes", "postgresql://***@db/bytes"),
    (f"via http://proxy:{S}@10.0.0.1:3128: refused", "via http://***@10.0.0.1:3128: refused"),
    (f"'https://h/b/k?X-Amz-Credential=A&X-Amz-Signature={S}'", "'https://h/b/k?***'"),
    (f"X-Amz-Signature={S}&x=1", "X-Amz-Signature=***&x=1"),
    (f"AWSAccessKeyId={S}", "AWSAccessKeyId=***"),
]
KEEPS = [
    "s3://bucket/acme/0123 is not there",
    "s3://bucket/a@b",
    "http://host:8333/a@b",
    "http://host:8333",
    "s3://bucket/{organization} at http://127.0.0.1:8333",
    "what? nothing: a=b",
    "",
]


@pytest.mark.parametrize(("text", "expected"), HIDES)
def test_secrets_are_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize("text", KEEPS)
def test_other_texts_stay(text: str) -> None:
    assert without_secrets(text) == text
