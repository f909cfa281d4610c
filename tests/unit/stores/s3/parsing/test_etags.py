"""ETags and times in the forms that servers give them."""

from __future__ import annotations

import pickle

import pytest

from migrator.stores.s3.parsing.etags import Etag, clean_etag, quoted
from migrator.stores.s3.parsing.timestamps import nanoseconds_of

MD5 = "9a0364b9e99bb480dd25e1f0284c8555"


@pytest.mark.parametrize(
    ("given", "meant", "sent"),
    [
        (f'"{MD5}"', MD5, f'"{MD5}"'),
        (f'"{MD5.upper()}"', MD5, f'"{MD5.upper()}"'),
        (f'"{MD5.upper()}-3"', f"{MD5}-3", f'"{MD5.upper()}-3"'),
        (f'W/"{MD5}"', MD5, f'"{MD5}"'),
        (f' ""{MD5}"" ', MD5, f'"{MD5}"'),
        (f'"{MD5}-gzip"', MD5, f'"{MD5}"'),
        ('"OPAQUE"', "OPAQUE", '"OPAQUE"'),
    ],
)
def test_an_etag_is_compared_as_it_is_meant_and_sent_as_the_server_writes_it(given: str, meant: str, sent: str) -> None:
    etag = clean_etag(given)
    assert etag is not None
    assert (etag, quoted(etag)) == (meant, sent)
    assert quoted(pickle.loads(pickle.dumps(etag))) == sent


def test_an_etag_as_it_is_compared_is_equal_to_its_text() -> None:
    assert {Etag(MD5, MD5.upper())} == {MD5}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("2025-11-22T10:10:11Z", 1_763_806_211),
        ("2025-11-22T10:10:11.25+00:00", 1_763_806_211.25),
        ("Sat, 22 Nov 2025 10:10:11 GMT", 1_763_806_211),
        ("1763806211", 1_763_806_211),
        ("1763806211000", 1_763_806_211),
        ("", 0),
        (None, 0),
        ("yesterday", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ("9999-12-31T23:59:59Z", 0),
    ],
)
def test_a_time_in_any_form_fits_into_the_ledger(told: str | None, seconds: float) -> None:
    found = nanoseconds_of(told)
    assert abs(found) < 1 << 63
    if told != "Mon, 01 Jan 0001 00:00:00 GMT":  # Python takes two digits for a year of this century
        assert found == int(seconds * 1e9)
