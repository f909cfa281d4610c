"""Refusals that have to do with how a request was signed: what the evidence shows, and what remains possible where it shows nothing."""

from __future__ import annotations

import re

from botocore import exceptions as boto

from migrator.core.errors import AccessDenied, StoreError
from migrator.stores.s3.errors.error_fields import HOST_SENT, field_of, header_of, metadata_of

_HOST_SEEN = re.compile(r"(?im)^host:([^\s]{1,260})$")
_PROXIES = ("nginx", "haproxy", "envoy", "traefik", "caddy", "apache", "cloudflare", "varnish", "squid", "litespeed")


def refused_signature(error: boto.ClientError, where: str) -> StoreError:
    """A wrong secret key and a changed request look alike; the server's canonical request tells them apart where it is sent along."""
    sent, seen = str(metadata_of(error).get(HOST_SENT, "")), _HOST_SEEN.search(field_of(error, "CanonicalRequest"))
    if seen is not None and sent and seen.group(1).lower() != sent.lower():
        return AccessDenied(
            "host-rewritten",
            f"A proxy changed the Host header of requests for {where}: {sent} was signed, and {seen.group(1)} arrived"
            " (SignatureDoesNotMatch).",
            why="The signature covers the Host header. Bytes fails there too.",
            cure="Let the proxy pass Host on (nginx: proxy_set_header Host $http_host;), or set AWS_ENDPOINT_URL to the server itself.",
        )
    proxy = _proxy_of(error)
    seen_proxy = f" The answer names a proxy: {proxy}." if proxy else ""
    return AccessDenied(
        "credentials-refused",
        f"The server refused the credentials for {where}: the signature does not match (SignatureDoesNotMatch).",
        why="The access key is known. The secret key is wrong, or a proxy changed what was signed: the Host "
        f"header, its port, or the path.{seen_proxy}",
        cure=(
            "Check AWS_SECRET_ACCESS_KEY first. Then let the proxy pass Host on (nginx: "
            "proxy_set_header Host $http_host;), or give the server's own address as AWS_ENDPOINT_URL."
        ),
    )


def clock_skew(ahead: float | None, where: str) -> StoreError:
    """`ahead`: seconds that the server's clock is ahead; None where its answer has no date."""
    seen = f" by {abs(ahead):.0f} seconds" if ahead is not None else ""
    return AccessDenied(
        "clock-skew",
        f"The clocks of this machine and of the server at {where} differ{seen}.",
        why="S3 accepts signatures for 15 minutes.",
        cure="Set this machine's clock (timedatectl set-ntp true), or the server's.",
    )


def wrong_region(code: str, where: str) -> StoreError:
    """A redirect, or a signature for another region."""
    return StoreError(
        "wrong-region",
        f"The server sends requests for {where} elsewhere ({code}).",
        why="The bucket is in another region, or the endpoint is wrong.",
        cure="Set AWS_DEFAULT_REGION (or --region) to its region, and check AWS_ENDPOINT_URL.",
    )


def addressing(code: str, where: str) -> StoreError:
    """A server that takes the bucket's name in the host name only."""
    return StoreError(
        "addressing",
        f"The server takes no path-style requests, as for {where} ({code}).",
        why="It wants the bucket in the host name (virtual-hosted addressing).",
        cure="Use an endpoint under whose host name bucket names resolve, and for Bytes addressing_style = "
        "virtual, in the AWS configuration file's section s3.",
    )


def _proxy_of(error: boto.ClientError) -> str:
    """What stands between, as the answer's headers name it; "" where they do not."""
    via = header_of(error, "via")
    if via:
        return f"Via: {via}" if via.isprintable() and len(via) <= 80 else "it has a Via header"
    server = header_of(error, "server")
    is_proxy = any(name in server.lower() for name in _PROXIES)
    return f"Server: {server}" if is_proxy and server.isprintable() and len(server) <= 80 else ""
