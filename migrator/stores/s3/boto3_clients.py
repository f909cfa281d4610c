"""boto3 clients as this program needs them, for one set of settings."""

from __future__ import annotations

import copy
import functools
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import boto3.session
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.hooks import HierarchicalEmitter
from s3transfer.utils import ReadFileChunk

from migrator import __version__
from migrator.config.locations import DEFAULT_PORTS, S3Access
from migrator.core.errors import SettingsError
from migrator.core.read_through_header import HEADER, STATUS_FOR_IT, is_from_disk
from migrator.stores.s3.adaptation import Adapting
from migrator.stores.s3.errors.client_settings import (
    credentials_not_given,
    fault_of_helper,
    fault_of_settings,
    no_credentials,
    refuse_ca_bundle,
    refuse_proxy,
)
from migrator.stores.s3.errors.error_fields import BODY_SIZE, HOST_SENT
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.stall import slice_body
from migrator.stores.s3.parsing.repair import mend_answer
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from botocore.config import _S3Dict
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client

MAX_CONNECTIONS = 128
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
SENT_AT_ONCE = 1 << 20
"""Bytes of a body that is sent without asking first whether the server wants it."""
NEVER_SENT = "GetObjectTorrent"
"""A call on an object that nothing here makes: `wire` has it prepared and keeps it back, to see how botocore would send it."""


_S3_CHOICES: _S3Dict = {"payload_signing_enabled": False}  # content carries Content-MD5, which is signed
_OUR_CHOICES = Config(
    signature_version="s3v4",
    s3=_S3_CHOICES,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A client, and what the bulk lane needs to sign and to reach the server just as it does."""

    client: S3Client
    credentials: Credentials
    ca_bundle: str | None
    adapting: Adapting
    throttle: Throttle = field(default_factory=Throttle)


def connect(
    access: S3Access,
    *,
    connect_timeout: float = CONNECT_SECONDS,
    read_timeout: float = READ_SECONDS,
    throttle: Throttle | None = None,
    with_our_choices: bool = True,
) -> Connection:
    """A client that finds servers as Bytes' does, and asks for no checksum that servers do not know. Times in seconds.

    Without `with_our_choices` it signs and adds checksums by boto3's own defaults, which are Bytes'.

    boto3's default checksums make a chunked body of a PUT over HTTPS, which Ceph, MinIO's gateway and rclone answer with 411.
    Raises SettingsError for what is wrong on this machine (profile, files, sign-in, credentials), before S3 is asked anything; Unavailable
    where credentials come from a service that cannot be reached.
    """
    settings = _Settings(access, connect_timeout, read_timeout, with_our_choices)
    with _as_settings_error(access):
        session = _session_for(access)
        credentials = _credentials_of(session)
        client, adapting = _taken_or_made(settings)
        ca_bundle = access.ca_bundle or session.core.get_config_variable("ca_bundle")
    refuse_proxy(client.meta.endpoint_url)
    if ca_bundle and client.meta.endpoint_url.startswith("https:"):
        refuse_ca_bundle(ca_bundle)
    throttle = throttle or Throttle()
    if throttle.is_on:
        _pay_for_requests(client, throttle)
    _take_disk_for_missing(client)
    _note_what_was_sent(client, credentials)
    return Connection(cast("S3Client", client), credentials, ca_bundle, adapting, throttle)


def signer_of(access: S3Access) -> tuple[str, str]:
    """The region and the access key id that requests are signed with, "" for what is not found.

    Keys that end with their session are told by how they were got: their ids change from hour to hour.
    """
    with suppress(BotoCoreError, ValueError):
        session = _session_for(access)
        credentials = session.core.get_credentials()
        region = str(session.boto3.region_name or "")
        if credentials is None:
            return region, ""
        frozen = credentials.get_frozen_credentials()
        return region, f"{credentials.method} {access.profile or ''}" if frozen.token else str(frozen.access_key)
    return "", ""


def make_ahead(accesses: Iterable[S3Access]) -> None:
    """Make a client for each that `connect` will give away, by its defaults, once in each process that is forked from this one.

    Making one looks at all that botocore knows of S3: 10 MB that each worker would have to itself, where they share what is made before.
    Whatever was made ahead earlier and not taken is forgotten. Raises as `connect`.
    """
    _made_ahead.clear()
    for access in accesses:
        with _as_settings_error(access):
            settings = _Settings(access)
            _made_ahead.append((settings, *_made(settings)))


class _Session(NamedTuple):
    """boto3's session, and botocore's below it, which alone gives settings of the profile such as the CA bundle."""

    boto3: boto3.session.Session
    core: botocore.session.Session


class _Settings(NamedTuple):
    access: S3Access
    connect_timeout: float = CONNECT_SECONDS
    read_timeout: float = READ_SECONDS
    with_our_choices: bool = True


_made_ahead: list[tuple[_Settings, Any, Adapting]] = []


def _taken_or_made(settings: _Settings) -> tuple[Any, Adapting]:
    for position, (made_for, client, adapting) in enumerate(_made_ahead):
        if made_for == settings:
            del _made_ahead[position]
            return client, adapting
    return _made(settings)


def _made(settings: _Settings) -> tuple[Any, Adapting]:
    access = settings.access
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},  # transfer/retry.py repeats
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        tcp_keepalive=True,
        max_pool_connections=MAX_CONNECTIONS,
        user_agent_extra=f"bytes-migrator/{__version__}",
    )
    if settings.with_our_choices:
        config = config.merge(_OUR_CHOICES)
        if access.addressing is not None:
            chosen: Any = {**_S3_CHOICES, "addressing_style": access.addressing}
            config = config.merge(Config(s3=chosen))
    adapting = Adapting(access)
    client = _session_for(access).boto3.client(
        "s3", endpoint_url=access.endpoint_url, verify=access.ca_bundle or None, config=config
    )
    client.meta.events.register("before-send.s3", slice_body)
    if settings.with_our_choices:
        client.meta.events.register_last("before-call.s3", _send_small_bodies_at_once)
        client.meta.events.register_first(
            "before-parse.s3", mend_answer
        )  # botocore calls XML that it cannot read a 500
        adapting.attach(client)
    return client, adapting


@contextmanager
def _as_settings_error(access: S3Access) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, OSError) as error:
        raise fault_of_settings(error) or translate(error, access.endpoint_url or "AWS") from error
    except ValueError as error:
        raise SettingsError(
            "endpoint-invalid",
            "AWS_ENDPOINT_URL is no URL that S3 could be at.",
            cure="It looks like https://s3.example.org or http://127.0.0.1:8333.",
        ) from error


def _credentials_of(session: _Session) -> Credentials:
    """Return the session's credentials, had now, so that a helper that fails shows before anything else is tried.

    Raises:
        SettingsError: If settings or profile are wrong, or there are no credentials.
        CannotStart: If a helper or a service does not give them out.
        StoreError: If the service does not answer.
    """  # noqa: DOC501 made by credentials_not_given, fault_of_helper, no_credentials, translate
    try:
        credentials = session.core.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()
    except ClientError as error:  # of the service that gives them out, such as STS
        raise credentials_not_given(error) from error
    except (BotoCoreError, OSError) as error:
        if (known := fault_of_settings(error)) is None:
            raise translate(error, "the credentials") from error
        raise known from error
    except Exception as error:
        raise fault_of_helper(error) from error
    if credentials is None:
        raise no_credentials()
    return credentials


def _take_disk_for_missing(client: Any) -> None:
    """Have an answer that a proxy took from the data folder raise what S3 raises for an object that is not there."""

    def judge(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        if not is_from_disk(metadata.get("HTTPHeaders", {}).get(HEADER.lower())):
            return
        body = parsed.pop("Body", None)
        if body is not None:
            body.close()
        http_response.status_code = metadata["HTTPStatusCode"] = STATUS_FOR_IT  # botocore looks at it after this event
        parsed["Error"] = {"Code": "NoSuchKey", "Message": "A proxy answered from the data folder."}

    client.meta.events.register_first("after-call.s3", judge)


def _note_what_was_sent(client: Any, credentials: Credentials) -> None:
    """Keep with an error answer what explains it, and take out of the server's words what must not be shown."""

    def begin(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        parts = urlsplit(str(params.get("url", "")))
        is_default = parts.port == DEFAULT_PORTS.get(parts.scheme)
        context[BODY_SIZE] = _size_of(params.get("body"))
        context[HOST_SENT] = parts.hostname if is_default else parts.netloc

    def end(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        error = parsed.get("Error")
        if not error:
            return
        metadata = parsed.setdefault("ResponseMetadata", {})
        metadata |= {name: context.get(name) for name in (BODY_SIZE, HOST_SENT)}
        if error.get("Message"):
            error["Message"] = _without_secrets(str(error["Message"]), credentials)

    client.meta.events.register("before-call.s3", begin)
    client.meta.events.register("after-call.s3", end)


def _without_secrets(text: str, credentials: Credentials) -> str:
    frozen = credentials.get_frozen_credentials()
    for secret in (frozen.secret_key, frozen.token):
        text = text.replace(secret, "…") if secret else text
    return text


def _pay_for_requests(client: Any, throttle: Throttle) -> None:
    """Have each request, tries again too, wait for its turn. Before it is signed: a signature does not hold for long."""

    def pay(request: Any, operation_name: str, **_: Any) -> None:
        if operation_name != NEVER_SENT:
            throttle.pay(_size_of(request.data), requests=1)

    client.meta.events.register("before-sign.s3", pay)


def _send_small_bodies_at_once(params: dict[str, Any], **_: Any) -> None:
    """Without ``Expect: 100-continue``, for which botocore waits a round trip: worth it for what is costly to send in vain."""
    if _size_of(params.get("body")) <= SENT_AT_ONCE:
        params["headers"].pop("Expect", None)


def _size_of(body: object) -> int:
    """How much will be sent: botocore makes a file of the bytes that it is given."""
    if isinstance(body, io.BytesIO):
        return body.getbuffer().nbytes
    return len(body) if isinstance(body, (bytes, bytearray, ReadFileChunk)) else 0


def _session_for(access: S3Access) -> _Session:
    environment = frozenset(
        (name, value) for name, value in os.environ.items() if name.startswith("AWS_") or name == "HOME"
    )
    plain = replace(access, endpoint_url=None, ca_bundle=None, addressing=None, signs_payloads=False)
    return _session(plain, environment)


@functools.lru_cache(maxsize=8)
def _session(access: S3Access, environment: frozenset[tuple[str, str]]) -> _Session:
    """Return the session for these settings and this `environment`.

    Kept, for reading the service model takes 0.1 s: forked workers find it in memory, and so does the other end where only the server
    differs, which is the client's own affair.
    """
    session = botocore.session.Session(
        profile=access.profile, event_hooks=copy.copy(_builtin_hooks()), include_builtin_handlers=False
    )
    for name, value in (
        ("config_file", access.config_file),
        ("credentials_file", access.shared_credentials_file),
        ("region", access.region),
    ):
        if value is not None:
            session.set_config_variable(name, value)
    if access.access_key_id is not None and access.secret_access_key is not None:
        token = access.session_token.reveal() if access.session_token is not None else None
        session.set_credentials(access.access_key_id, access.secret_access_key.reveal(), token)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return _Session(boto3.session.Session(botocore_session=session), session)


@functools.cache
def _builtin_hooks() -> HierarchicalEmitter:
    """Return botocore's own handlers, to be copied for each session: to register them takes 15 ms."""
    hooks = HierarchicalEmitter()
    botocore.session.Session(event_hooks=hooks)
    return hooks


class _Loader(botocore.loaders.Loader):
    """Takes every folder below a search path for a service.

    botocore looks into all 450 to tell which have a model, twice for each process: 40 % of what its first client of S3 takes.
    """

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services that may have a file of this type."""
        folders = filter(os.path.isdir, self.search_paths)
        return sorted({name for folder in folders for name in os.listdir(folder)})


@functools.cache
def _loader(data_path: str | None) -> botocore.loaders.Loader:
    """Return what reads service models: one for all sessions of the process, for it keeps what it has read."""
    paths = data_path.split(os.pathsep) if data_path else []
    return _Loader(extra_search_paths=[os.path.expanduser(os.path.expandvars(path)) for path in paths])
