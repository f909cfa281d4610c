"""Endpoint, region and keys as boto3 takes them: what it refuses, for Bytes too, is refused here before any request. Pure.

Source: botocore 1.44, ``utils.is_valid_endpoint_url``, ``is_valid_ipv6_endpoint_url`` and ``validate_region_name``; tests compare.
An underscore in a host's name, as of Compose services, is refused by boto3: ``ValueError: Invalid endpoint``.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from migrator.config.bytes_settings import refuse_unexpanded
from migrator.config.env_file import Setting
from migrator.config.environment import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from migrator.config.locations import DEFAULT_PORTS
from migrator.core.errors import SettingsError
from migrator.core.naming import Naming, SingleBucket
from migrator.core.redaction import HIDDEN, has_login

_HOST = re.compile(r"((?!-)[A-Z\d-]{1,63}(?<!-)\.)*((?!-)[A-Z\d-]{1,63}(?<!-))\.?", re.IGNORECASE)
_LONGEST_HOST = 255
_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_A_HEADER = re.compile(r"[^\x21-\x7e]")
_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
_BUCKET_AT_AWS = re.compile(r"(?P<bucket>.+)\.s3[.-](?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?")
_SERVICE_NAMES = frozenset(("s3", "storage", "objects", "minio", "seaweedfs", "ceph", "rgw", "garage", "swift"))
"""Host names of servers, which a bucket may have as its own name too."""


def checked_endpoint(setting: Setting) -> str:
    """Return the endpoint's URL, as it was given.

    Raises:
        SettingsError: If boto3 does not take the URL, or if it holds a login, which would show in reports.
    """
    url = setting.value
    refuse_unexpanded(setting)
    why = ""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc or has_login(url):
            raise SettingsError(
                "endpoint-with-login",
                f"{setting.name} ({setting.origin}) holds a login before the host name.",
                why="It would show in reports and logs; S3 servers ignore it.",
                cure=f"Take it out of the URL; keys go into {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}.",
            )
        if _QUOTED.fullmatch(url):
            why = "It stands in quotes, which are part of the value: docker run and kubectl keep quotes of their env files."
        elif any(character.isspace() for character in url) or _CONTROL.search(url):
            why = "It holds a space or a line feed."
        elif parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.port == 0:
            why = "It does not begin with http:// or https:// and a host name."
        elif parts.query or parts.fragment or "?" in url or "#" in url:
            why = "It holds a '?' or a '#': a signed URL of one object is no endpoint."
    except ValueError:
        why = "Its host or port cannot be understood."
    if why:
        raise SettingsError(
            "endpoint-not-a-url",
            f"{setting.name}={_shown(setting)} ({setting.origin}) is no endpoint URL.",
            why=why,
            cure="Write it like https://s3.example.org or http://127.0.0.1:8333",
        )
    _refuse_host(setting, urlsplit(url).hostname or "")
    return url


def _shown(setting: Setting) -> str:
    """What may be shown of a value that is no URL: nothing where a login may be in it, and no query."""
    return HIDDEN if "@" in setting.value else re.split(r"[?#]", setting.shown, maxsplit=1)[0]


def _refuse_host(setting: Setting, host: str) -> None:
    if len(host) <= _LONGEST_HOST and (_HOST.fullmatch(host) or _is_ipv6(host)):
        return
    found = "".join(dict.fromkeys(re.findall(r"[^A-Za-z0-9.-]", host)))
    seen = (
        f"It has {' '.join(repr(one) for one in found)}" if found else "A part is empty, too long, or has '-' at an end"
    )
    raise SettingsError(
        "endpoint-host",
        f"{setting.name}={setting.shown} ({setting.origin}): boto3 does not take the host name {host}.",
        why=f"{seen}; host names have a-z, digits, '-' and '.' only. Bytes fails with it too.",
        cure="Give its address, or another name: for a Compose service, a network alias without '_'.",
    )


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host.replace("%25", "%"))
    except ValueError:
        return False
    return True


def checked_region(setting: Setting) -> str:
    """Return the region's name, as it was given.

    Raises:
        SettingsError: If boto3 refuses the name (botocore, ``validate_region_name``).
    """
    if _REGION.fullmatch(setting.value):
        return setting.value
    raise SettingsError(
        "region-invalid",
        f"{setting.name}={setting.shown} ({setting.origin}) is no region that boto3 takes.",
        why=("A region has letters, digits and inner '-', not digits alone. Bytes fails with it too."),
        cure=f"Write {setting.name}=us-east-1, and configure a self-made server for a name of this form.",
    )


def refuse_broken_key(setting: Setting) -> None:
    """Refuse a key or token with characters that cannot be sent; its value is never shown.

    Raises:
        SettingsError: If it has control characters, or stands in quotes, or has a space where it goes into a header.
    """
    is_sent = setting.name != SECRET_ACCESS_KEY  # the secret only signs
    if setting.value.rstrip("\r\n") != setting.value:
        seen = "ends with a line feed"
    elif _CONTROL.search(setting.value):
        seen = "holds a control character, such as a line feed"
    elif is_sent and _NOT_IN_A_HEADER.search(setting.value):
        seen = "holds a space or a letter that no key has"
    elif len(setting.value) > 1 and _QUOTED.fullmatch(setting.value):
        seen = "stands in quotes, which are part of the value"
    else:
        return
    raise SettingsError(
        "aws-key-characters",
        f"{setting.name} ({setting.origin}) {seen}.",
        why="Bytes fails with it too. `echo` adds a line feed; docker run and kubectl keep quotes.",
        cure=f"Set {setting.name} anew without it; for a Kubernetes secret with `printf %s` or --from-literal.",
    )


def refuse_bucket_in_endpoint(naming: Naming, setting: Setting) -> None:
    """Refuse an endpoint with the bucket in its host or path: boto3 adds the bucket once more.

    Other paths are fine: boto3 puts them before the bucket, and Bytes works there.

    Raises:
        SettingsError: If the host's first label or the path's last part is a bucket of this naming.
    """
    parts = urlsplit(setting.value)
    host, last = parts.hostname or "", parts.path.rstrip("/").rpartition("/")[2]
    if not (_is_host_of(naming, host) or _is_bucket(naming, last)):
        return
    is_host = _is_host_of(naming, host)
    raise SettingsError(
        "endpoint-with-bucket",
        f"{setting.name}={setting.shown} ({setting.origin}) names a bucket in its {'host' if is_host else 'path'}.",
        why=f"boto3 adds the bucket of {naming} again, so raw files would get other names.",
        cure=f"Write the server alone: {parts.scheme}://{host.partition('.')[2] if is_host else parts.netloc}",
    )


def _is_bucket(naming: Naming, name: str) -> bool:
    if isinstance(naming, SingleBucket):
        return name == naming.bucket
    return bool(name) and (name == naming.prefix.rstrip("-.") or name.startswith(naming.prefix))


def _is_host_of(naming: Naming, host: str) -> bool:
    """Whether a bucket stands before the server's own name. A host of one label is a server."""
    at_aws = _BUCKET_AT_AWS.fullmatch(host)
    if at_aws is not None and ".vpce" not in host and "s3-accesspoint" not in host:
        return True
    if isinstance(naming, SingleBucket):
        return host.startswith(f"{naming.bucket}.") and naming.bucket not in _SERVICE_NAMES
    first, _, rest = host.partition(".")
    return _is_bucket(naming, first) and rest.startswith(("s3.", "s3-"))
