"""What is wrong on this machine is told at once, by its own name, with exit status 2, and without a request to S3."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from migrator.config.locations import S3Access, Secret
from migrator.core.errors import SettingsError
from migrator.stores.s3 import boto3_clients
from migrator.stores.s3.boto3_clients import connect
from tests.scripted import Scripted, always, page, scripted
from tests.servers import SECRET_MARK

SSO = "sso_account_id = 111122223333\nsso_role_name = Ops\nregion = us-east-1\n"
SSO_SESSION = f"[profile work]\nsso_session = corp\n{SSO}[sso-session corp]\nsso_start_url = https://127.0.0.1/s\nsso_region = us-east-1\n"
SSO_OLD = f"[profile work]\nsso_start_url = https://127.0.0.1/start\nsso_region = us-east-1\n{SSO}"
ROLE = "role_arn = arn:aws:iam::111122223333:role/Ops"


def helper(code: str) -> str:
    """A profile whose credential helper does this."""
    return f"[profile work]\ncredential_process = {sys.executable} -c {json.dumps(code)}\n"


class Broken(NamedTuple):
    """What ~/.aws/config and ~/.aws/credentials hold and the environment has; the error's name, and what it has to say."""

    config: str
    name: str
    says: str
    env: dict[str, str] = {}  # noqa: RUF012 - never written to
    credentials: str = ""


CASES = {
    "no keys at all": Broken("", "no-credentials", "AWS_ACCESS_KEY_ID", {"AWS_PROFILE": ""}),
    "SSO, never signed in": Broken(SSO_SESSION, "not-signed-in", "aws sso login"),
    "SSO as it was, never signed in": Broken(SSO_OLD, "not-signed-in", "aws sso login"),
    "config without a section": Broken("region = us-east-1\n[default\n", "aws-config-broken", "config"),
    "profile unknown": Broken("[profile other]\n", "profile-missing", "'work'"),
    "web identity without its file": Broken(
        f"[profile work]\n{ROLE}\nweb_identity_token_file = /none/token\n", "aws-file-unusable", "/none/token"
    ),
    "web identity of the environment": Broken(
        "",
        "aws-file-unusable",
        "/none/token",
        {
            "AWS_PROFILE": "",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/none/token",
            "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/O",
        },
    ),
    "helper that fails": Broken(
        helper(f"import sys; sys.exit('{SECRET_MARK}')"), "credential-helper-failed", "credential_process"
    ),
    "helper that writes no JSON": Broken(helper("print('hello')"), "credential-helper-failed", "credential_process"),
    "helper that is not there": Broken(
        "[profile work]\ncredential_process = /none/helper\n", "aws-file-unusable", "/none/helper"
    ),
    "helper without keys": Broken(helper("print('{}')"), "credential-helper-failed", "credential_process"),
    "half a pair in a file": Broken(
        "[profile work]\n",
        "credentials-half-set",
        "aws_secret_access_key",
        credentials="[work]\naws_access_key_id = AK\n",
    ),
    "source profile that is not there": Broken(
        f"[profile work]\n{ROLE}\nsource_profile = none\n", "aws-setting-invalid", "none"
    ),
    "profiles in a circle": Broken(
        f"[profile work]\n{ROLE}\nsource_profile = a\n[profile a]\n{ROLE}\nsource_profile = work\n",
        "aws-setting-invalid",
        "work",
    ),
    "retry mode": Broken(
        "",
        "aws-setting-invalid",
        "mode",
        {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "S", "AWS_PROFILE": "", "AWS_DEFAULTS_MODE": "wild"},
    ),
    "region": Broken(
        "",
        "endpoint-unknown",
        "AWS_DEFAULT_REGION",
        {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "S", "AWS_PROFILE": "", "AWS_DEFAULT_REGION": "eu west"},
    ),
}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(always(page("org/a"))) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Broken], None]]:
    def arrange(case: Broken) -> None:
        folder = tmp_path / ".aws"
        folder.mkdir()
        (folder / "config").write_text(case.config)
        (folder / "credentials").write_text(case.credentials)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name, value in {"AWS_PROFILE": "work", **case.env}.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    boto3_clients._session.cache_clear()
    yield arrange
    boto3_clients._session.cache_clear()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_wrong_on_this_machine(case: Broken, home: Callable[[Broken], None], server: Scripted) -> None:
    home(case)
    with pytest.raises(SettingsError) as refused:
        connect(S3Access(endpoint_url=server.url))
    assert refused.value.name == case.name
    assert refused.value.exit_status == 2
    assert case.says in str(refused.value)
    assert refused.value.cure
    assert SECRET_MARK not in str(refused.value)
    assert not server.asked


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "There is no such file"),
        (b"no certificate", "no certificates"),
        (b"", "no certificates"),
        ("folder", "cannot be read"),
    ],
)
def test_a_file_of_certificates_that_cannot_be_used(content: bytes | str | None, why: str, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    if isinstance(content, bytes):
        bundle.write_bytes(content)
    elif content:
        bundle.mkdir()
    access = S3Access(
        endpoint_url="https://127.0.0.1:1",
        region="us-east-1",
        access_key_id="AK",
        secret_access_key=Secret("SK"),
        ca_bundle=str(bundle),
    )
    with pytest.raises(SettingsError) as refused:
        connect(access)
    assert refused.value.name == "ca-bundle-unusable"
    assert str(bundle) in refused.value.what
    assert why in refused.value.why


BAD_PROXIES = {
    "socks5://127.0.0.1:1080": "no proxies of the kind 'socks5'",
    "ftp://proxy:21": "no proxies of the kind 'ftp'",
    "://proxy": "no scheme",
    "http://": "no host name",
    "http://[::1": "cannot be understood",
    "proxy:99999": "cannot be understood",
    "http://proxy:port": "cannot be understood",
    "http:// proxy:3128": "a space",
    f"socks4://user:{SECRET_MARK}@proxy:1080": "no proxies of the kind 'socks4'",
}


@pytest.mark.parametrize(("value", "why"), BAD_PROXIES.items())
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_setting_that_is_no_proxys_url_is_told_before_any_request(
    name: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were retried for minutes as a server that is away, or looked like a name that boto3 refuses."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        connect(_access("https://s3.example.org"))
    assert (refused.value.name, why in refused.value.why) == ("proxy-not-a-url", True)
    assert name in refused.value.what
    assert SECRET_MARK not in repr(refused.value)


@pytest.mark.parametrize(
    "value", ["proxy:3128", "//proxy:3128", "http://proxy", "https://user:pass@proxy:3128/", "http://[::1]:3128"]
)
def test_other_proxy_settings_and_those_for_others_are_left_alone(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    connect(_access("https://s3.example.org"))
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    connect(_access("http://s3.example.org"))
    monkeypatch.setenv("NO_PROXY", "s3.example.org")
    connect(_access("https://s3.example.org"))


def _access(endpoint: str) -> S3Access:
    return S3Access(
        endpoint_url=endpoint, region="us-east-1", access_key_id="AK", secret_access_key=Secret(f"{SECRET_MARK}-key")
    )
