"""What an error means that is no answer of the server: the connection's own faults, the client's own settings, and boto3's own refusals.

Only the connection's faults are "could not be reached" and are tried again. Each class of ``botocore.exceptions`` has its place here or in
`client_settings`; ``tests/unit/stores/s3/errors/test_client_side_errors.py`` walks through all of them.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError, NameResolutionError

from migrator.core.errors import AccessDenied, NotTheSame, StoreError, Unavailable
from migrator.stores.s3.errors.client_settings import fault_of_settings
from migrator.stores.s3.errors.signature_errors import wrong_region

_OF_THE_CONNECTION = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    HTTPError,
    OSError,
)
_OF_THE_CONTENT = (boto.ChecksumError, boto.FlexibleChecksumError)
_OF_THE_NAME = (
    boto.ParamValidationError,
    boto.ValidationError,
    boto.InvalidDNSNameError,
    boto.InvalidHostLabelError,
    boto.UnsupportedS3ArnError,
    boto.UnsupportedS3ControlArnError,
    boto.UnsupportedOutpostResourceError,
    boto.UnsupportedS3AccesspointConfigurationError,
)
_CERTIFICATE_FAULTS = {
    9: "it is not valid yet: a clock may be wrong",
    10: "it has expired",
    18: "it is signed by itself",
    19: "a certificate of its chain is signed by itself",
    20: "no known authority has signed it",
    21: "no known authority has signed it",
    62: "it is for another host name",
    64: "it is for another address",
}
"""OpenSSL's verify results (``x509_vfy.h``)."""
_TLS_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_TLS_DAMAGED = ("BAD_RECORD_MAC", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "UNEXPECTED_EOF_WHILE_READING", "BAD_LENGTH")
"""OpenSSL's reasons where a connection was cut or damaged, as a reset in the middle of a body makes them."""


def fault_in_reaching(error: Exception, where: str) -> StoreError:
    """What an error without an answer means. Raises the error itself where it is of none of the kinds that are known."""
    settings = fault_of_settings(error)
    if settings is not None:  # credentials that can no longer be had while a run goes on
        return AccessDenied(settings.name, settings.what, why=settings.why, cure=settings.cure)
    if isinstance(error, boto.SSLError):
        return _tls(error, where)
    if isinstance(error, _OF_THE_CONTENT):
        return NotTheSame("damaged-on-the-way", f"What arrived of {where} does not have the announced checksum.")
    if isinstance(error, _OF_THE_NAME):
        return StoreError("name-refused", f"boto3 refuses the name of {where}: it breaks S3's naming rules.")
    if isinstance(error, ResponseParserError):
        return Unavailable(
            "broken-answer",
            f"The answer about {where} cannot be read: it is no XML of S3.",
            why="It was cut, or a proxy answered for the server.",
        )
    if isinstance(error, RecursionError) or isinstance(error.__context__, RecursionError):
        return wrong_region("307", where)
    if isinstance(error, _OF_THE_CONNECTION):
        return _connection(error, where)
    if isinstance(error, (boto.BotoCoreError, ValueError)):
        return StoreError(
            "boto3-refused",
            f"boto3 could not make the request for {where} ({_kind(error)}).",
            cure="Rerun with --log-file; if it stays, report it.",
        )
    raise error


def _connection(error: Exception, where: str) -> StoreError:
    """Told apart by what lies beneath, as far as it tells: a name, a port, a proxy; else what broke off."""
    beneath = tuple(_beneath(error))
    inner = next(
        (one for one in beneath if isinstance(one, ValueError) and not isinstance(one, (OSError, HTTPError))), None
    )
    if inner is not None and type(error) is boto.HTTPClientError:
        return fault_in_reaching(inner, where)  # what cannot be sent is no fault of the connection's
    server = _server_of(error)
    if isinstance(error, boto.ProxyConnectionError):
        return _proxy(error, beneath, where)
    if any(isinstance(one, (socket.gaierror, NameResolutionError)) for one in beneath):
        return Unavailable(
            "host-not-found",
            f"The name of the server {server} cannot be resolved, for {where}.",
            why="This machine's DNS does not know it.",
            cure="Check AWS_ENDPOINT_URL and this machine's DNS (getent hosts NAME), then rerun.",
        )
    if any(isinstance(one, ConnectionRefusedError) for one in beneath):
        return Unavailable(
            "connection-refused",
            f"Nothing listens at the server {server}, for {where}: the connection was refused.",
            why="The server is down, the port is wrong, or a firewall refuses.",
            cure="Check the server and AWS_ENDPOINT_URL's port, then rerun.",
        )
    what = f"The server {server} could not be reached or broke off for {where} ({_kind(error)})."
    return Unavailable("unreachable", " ".join(what.split()))


def _proxy(error: boto.ProxyConnectionError, beneath: tuple[BaseException, ...], where: str) -> StoreError:
    proxy = _without_login(str(getattr(error, "kwargs", {}).get("proxy_url", "")))
    status = next(
        (found[1] for one in beneath if (found := re.search(r"Tunnel connection failed: (\d{3})", str(one)))), ""
    )
    if any(isinstance(one, (socket.gaierror, NameResolutionError)) for one in beneath):
        why = "The proxy's host name does not resolve to an address."
    elif any(isinstance(one, ConnectionRefusedError) for one in beneath):
        why = "Nothing listens at the proxy's address."
    elif status == "407":
        why = "The proxy wants a login, or does not take the one in its URL (HTTP 407)."
    elif status:
        why = f"The proxy does not let the request through (HTTP {status})."
    else:
        why = "The proxy could not be reached, or broke off."
    what = f"The proxy {proxy} between this machine and the server failed, for {where}."
    return Unavailable(
        "proxy-refused",
        " ".join(what.split()),
        why=why,
        cure="Check HTTP_PROXY and HTTPS_PROXY, or name the host in NO_PROXY, then rerun.",
    )


_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons for an answer that is no TLS, such as plain HTTP's."""


def _tls(error: boto.SSLError, where: str) -> StoreError:
    server, beneath = _server_of(error), tuple(_beneath(error))
    if any(isinstance(one, _TLS_BROKEN_OFF) or getattr(one, "reason", None) in _TLS_DAMAGED for one in beneath):
        return Unavailable("unreachable", f"The server {server} broke off an encrypted connection, for {where}.")
    broken = next((one for one in beneath if isinstance(one, ssl.SSLCertVerificationError)), None)
    if broken is not None:
        known = _CERTIFICATE_FAULTS.get(broken.verify_code, "")
        return AccessDenied(
            "tls",
            f"The certificate of the server {server} is not trusted, for {where}{f': {known}' if known else ''}.",
            cure="Give its CA's certificates with --ca-bundle FILE or AWS_CA_BUNDLE, or use the certificate's name.",
        )
    if any(isinstance(one, ssl.SSLError) and getattr(one, "reason", None) in _NO_TLS for one in _beneath(error)):
        return AccessDenied(
            "tls",
            f"The server {server} does not speak TLS, for {where}.",
            why="It answered as a plain HTTP server does.",
            cure="Begin the endpoint with http://, or name its TLS port.",
        )
    return AccessDenied(
        "tls",
        f"The certificate of the server {server} is not trusted, or it speaks no TLS, for {where}.",
        cure="Give its CA's certificates with --ca-bundle FILE or AWS_CA_BUNDLE; without TLS, begin the "
        "endpoint with http://.",
    )


def _beneath(error: BaseException) -> Iterator[BaseException]:
    """The error and all that caused it, by the ways in which botocore, urllib3 and Python keep that."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = getattr(one, "kwargs", None)
        waiting += [kept.get("error") if isinstance(kept, dict) else None, getattr(one, "original_error", None)]
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]


def _server_of(error: Exception) -> str:
    """Scheme, host and port of the request that failed, where boto3 tells; nothing else of its URL is fit to be shown."""
    parts = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc and "@" not in parts.netloc else ""


def _without_login(url: str) -> str:
    scheme, there, rest = url.partition("://")
    return f"{scheme}{there}{rest.rpartition('@')[2]}".partition("?")[0]


def _kind(error: Exception) -> str:
    """The error's kind in words; its text may hold a URL with a signature."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", type(error).__name__)
    return words.lower().removesuffix(" error")
