"""What the probe of a server concludes from each answer to its conditional copy."""

from __future__ import annotations

import pytest

from migrator.core.errors import StoreError
from migrator.stores.reserved_names import PROBE_PREFIX
from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.capabilities import Capabilities, copies_conditionally, probe
from tests.scripted import Asked, Reply, Script, error, scripted

COPIED = Reply(200, b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>', {"Content-Type": "application/xml"})
UNANSWERED = Reply(0)


def copying(first: Reply, second: Reply) -> Script:
    """A server that takes everything, and answers so to the plain copy and to the conditional one."""

    def answer(asked: Asked, number: int) -> Reply:
        headers = {name.lower() for name in asked.headers}
        if "x-amz-copy-source" not in headers:
            return Reply(200 if asked.method == "PUT" else 204)
        return second if "if-none-match" in headers else first

    return answer


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (COPIED, error(412, "PreconditionFailed"), True),
        (COPIED, COPIED, False),
        (COPIED, error(500, "InternalError"), False),
        (error(501, "NotImplemented"), COPIED, False),
        (error(403, "AccessDenied"), COPIED, False),
    ],
    ids=["refused", "taken", "fails", "no-copies", "denied"],
)
def test_a_conditional_copy_is_relied_on_only_where_it_was_refused(first: Reply, second: Reply, expected: bool) -> None:
    with scripted(copying(first, second)) as server:
        client = connect(server.location().access).client
        found = probe(client, "bucket", "name", copies=True)
        removed = [asked.path for asked in server.asked if asked.method == "DELETE"]
    assert found == Capabilities(conditional_copy=expected and copies_conditionally(client))
    assert removed[-1] == f"/bucket/{PROBE_PREFIX}name"


@pytest.mark.parametrize(
    ("first", "second"), [(UNANSWERED, COPIED), (COPIED, UNANSWERED)], ids=["plain", "on-condition"]
)
def test_a_copy_that_was_not_answered_says_nothing(first: Reply, second: Reply) -> None:
    """It was kept for a day as "does not refuse", and each raw file cost one more request."""
    with scripted(copying(first, second)) as server:
        client = connect(server.location().access).client
        if not copies_conditionally(client):
            pytest.skip("this boto3 sends no condition with copies, so none is tried")
        with pytest.raises(StoreError) as raised:
            probe(client, "bucket", "name", copies=True)
    assert raised.value.temporary
