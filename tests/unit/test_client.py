"""How boto3's client is set up."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.settings import S3Access, Secret
from migrator.stores.s3.client import SENT_AT_ONCE, connect


class NotSent(Exception):
    """Ends a call just before it would go out."""


@pytest.mark.parametrize(
    ("size", "as_bytes_does", "asks_first"),
    [(0, False, False), (SENT_AT_ONCE, False, False), (SENT_AT_ONCE + 1, False, True), (10, True, True)],
)
def test_only_large_bodies_ask_first_whether_they_are_wanted(size: int, as_bytes_does: bool, asks_first: bool) -> None:
    """``Expect: 100-continue`` costs a round trip; Bytes' own calls are made as Bytes makes them."""
    access = S3Access(
        endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key_id="key", secret_access_key=Secret("secret")
    )
    client = connect(access, tries=1, with_our_choices=not as_bytes_does).client
    sent: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        sent.append(request)
        raise NotSent

    client.meta.events.register("before-send.s3.PutObject", keep)
    with pytest.raises(NotSent):
        client.put_object(Bucket="bucket", Key="key", Body=bytes(size))
    assert ("Expect" in sent[0].headers) is asks_first
    client.close()
