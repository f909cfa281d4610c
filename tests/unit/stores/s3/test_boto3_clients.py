"""How boto3's client is set up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import UnknownServiceError

import migrator.stores.s3.boto3_clients as client_module
from migrator.config.locations import S3Access, Secret
from migrator.stores.s3.boto3_clients import SENT_AT_ONCE, connect, make_ahead

ACCESS = S3Access(
    endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key_id="key", secret_access_key=Secret("secret")
)


class NotSent(Exception):
    """Ends a call just before it would go out."""


@pytest.mark.parametrize(
    ("size", "as_bytes_does", "asks_first"),
    [(0, False, False), (SENT_AT_ONCE, False, False), (SENT_AT_ONCE + 1, False, True), (10, True, True)],
)
def test_only_large_bodies_ask_first_whether_they_are_wanted(size: int, as_bytes_does: bool, asks_first: bool) -> None:
    """``Expect: 100-continue`` costs a round trip; Bytes' own calls are made as Bytes makes them."""
    client = connect(ACCESS, with_our_choices=not as_bytes_does).client
    sent: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        sent.append(request)
        raise NotSent

    client.meta.events.register("before-send.s3.PutObject", keep)
    with pytest.raises(NotSent):
        client.put_object(Bucket="bucket", Key="key", Body=bytes(size))
    assert ("Expect" in sent[0].headers) is asks_first
    client.close()


def test_what_is_added_to_one_session_is_not_in_the_next() -> None:
    """boto3 adds its own handlers to each session, and refuses to add them twice to the same."""
    clients = [connect(replace(ACCESS, access_key_id=key)).client for key in ("one", "other")]
    assert all(hasattr(client, "upload_file") for client in clients)


def test_what_was_made_ahead_is_given_away_once_for_just_these_settings() -> None:
    make_ahead([ACCESS, ACCESS])
    assert len(client_module._made_ahead) == 2
    other = connect(replace(ACCESS, region="eu-west-1"))
    assert len(client_module._made_ahead) == 2
    clients = [connect(ACCESS).client for _ in range(3)]
    assert len({id(client) for client in (*clients, other.client)}) == 4
    assert client_module._made_ahead == []


def test_what_nobody_took_is_forgotten() -> None:
    for _ in range(3):
        make_ahead([ACCESS])
    assert len(client_module._made_ahead) == 1
    make_ahead([])


def test_models_are_found_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``AWS_DATA_PATH`` names more folders with models, as for boto3; one that is not there has none."""
    folder = tmp_path / "mine" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {"serviceId": "Mine"}}')
    monkeypatch.setenv("MODELS", str(tmp_path))
    loader = client_module._loader("$MODELS:/not/there")
    assert loader.load_service_model("mine", "service-2")["metadata"]["serviceId"] == "Mine"
    assert loader.load_service_model("sts", "service-2")["metadata"]["serviceId"] == "STS"
    with pytest.raises(UnknownServiceError):
        loader.load_service_model("none", "service-2")


def test_a_client_is_made_without_a_look_at_other_services() -> None:
    """botocore would look into the folders of all 450, twice."""
    code = (
        "import sys, os; listed = []\n"
        "from migrator.config.locations import S3Access, Secret\n"
        "from migrator.stores.s3.boto3_clients import connect\n"
        "sys.addaudithook(lambda event, given: event == 'os.listdir' and listed.append(given[0]))\n"
        "connect(S3Access(region='us-east-1', access_key_id='key', secret_access_key=Secret('secret')))\n"
        "print(len(listed))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    assert int(done.stdout) < 50
