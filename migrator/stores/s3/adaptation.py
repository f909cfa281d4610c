"""What a client learns from a server's refusals, and does from then on: another region, another addressing, signed payloads.

This holds for the migration's own requests alone. Bytes' boto3 has none of it: `ProbeClient(like_bytes=True)` shows what becomes of Bytes.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botocore.config import Config
from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import SSLError

from migrator.config.locations import S3Access
from migrator.doctor.bytes_calls import ADDRESSING_CODES

UNSIGNED_OPERATIONS = ("PutObject", "UploadPart")
"""Requests with content. It carries Content-MD5, which is signed; all other bodies are small, and signed."""
_SIGNS = Config(s3={"payload_signing_enabled": True})
_MAY_MEAN_UNSIGNED = {
    400: {"InvalidDigest", "InvalidRequest", "InvalidArgument", "XAmzContentSHA256Mismatch", "400"},
    403: {"AccessDenied", "SignatureDoesNotMatch", "Forbidden", "403"},
    501: {"NotImplemented", "501"},
}
"""How servers and policies refuse ``UNSIGNED-PAYLOAD``, and other things too: a second try with a signature tells which."""
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_EXPECTED = re.compile(r"expecting '([^']+)'")
"""AWS' message: "the region 'us-east-1' is wrong; expecting 'eu-west-1'"."""
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidRegion", "301", "307"}
_KEPT = "bytes_migrator"
"""Under this name the context of a request holds what was tried for it."""


class Adapting:
    """Hooks for one client; thread-safe. `region` and `addressing` are None until a server made us change them.

    `version` changes whenever something was learned: routes that were made before are to be made anew.
    """

    def __init__(self, access: S3Access) -> None:
        self.region: str | None = None
        self.addressing: str | None = None
        self.signs_payloads = access.signs_payloads
        self.version = 0
        self._is_aws = access.endpoint_url is None
        self._in_vain: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def attach(self, client: Any) -> None:
        """Have a client's requests adapted. Before botocore's own redirections, which ask in circles where no region is told."""
        client.meta.events.register("before-call.s3", self._address)
        client.meta.events.register("before-sign.s3", self._sign)
        client.meta.events.register_first("needs-retry.s3", self._retry)

    def applied_to(self, access: S3Access) -> S3Access:
        """The settings with what was learned."""
        return replace(
            access,
            region=self.region or access.region,
            addressing=self.addressing or access.addressing,
            signs_payloads=self.signs_payloads,
        )

    # --- each request -------------------------------------------------------------------------------------------------

    def _address(self, params: dict[str, Any], **_: Any) -> None:
        if self.addressing is not None:
            params["url"] = _addressed(params["url"], _bucket_of(params), self.addressing) or params["url"]

    def _sign(self, request: Any, operation_name: str, **_: Any) -> None:
        tried = request.context.get(_KEPT, {})
        is_content = operation_name in UNSIGNED_OPERATIONS
        if not is_content or self.signs_payloads or "signed" in tried:
            request.context["client_config"] = _SIGNS
        region = None if self._is_aws else tried.get("region", self.region)
        if region is not None:
            request.context["signing"] = {**request.context.get("signing", {}), "region": region}

    def _retry(
        self, response: Any, operation: Any, request_dict: dict[str, Any], caught_exception: Exception | None, **_: Any
    ) -> int | None:
        """0 to send the request again at once, in another way; None to leave it to botocore."""
        tried = request_dict["context"].setdefault(_KEPT, {})
        status, code, answer = _status_and_code(response)
        self._conclude(tried, operation.name, status, code)
        if status and status < 300:
            return None
        if self._should_sign(operation.name, status, code, tried):
            tried["signed"] = code
            return 0
        region = _region_named(status, code, answer)
        if region and "region" not in tried and region != _signed_for(request_dict):
            tried["region"], tried["region_code"] = region, code
            return None if self._is_aws else 0
        url = self._other_url(request_dict, code, answer, caught_exception) if "url" not in tried else None
        if url is not None:
            tried["url"], tried["addressing"] = request_dict["url"], "virtual" if code else "path"
            request_dict["url"] = url
            return 0
        return None

    # --- what was learned ---------------------------------------------------------------------------------------------

    def _conclude(self, tried: dict[str, Any], operation: str, status: int, code: str) -> None:
        """Keep what worked: it did if the refusal that made us try is gone."""
        with self._lock:
            if "signed" in tried and "signing_known" not in tried:
                tried["signing_known"] = True
                if not status or code == tried["signed"]:
                    self._in_vain.add((operation, code))
                else:
                    self.signs_payloads, self.version = True, self.version + 1
            if status and "region" in tried and code != tried["region_code"] and self.region != tried["region"]:
                self.region, self.version = tried["region"], self.version + 1
            is_addressed = status and "addressing" in tried and code not in ADDRESSING_CODES
            if is_addressed and self.addressing != tried["addressing"]:
                self.addressing, self.version = tried["addressing"], self.version + 1

    def _should_sign(self, operation: str, status: int, code: str, tried: Mapping[str, Any]) -> bool:
        if operation not in UNSIGNED_OPERATIONS or self.signs_payloads or "signed" in tried:
            return False
        return code in _MAY_MEAN_UNSIGNED.get(status, ()) and (operation, code) not in self._in_vain

    def _other_url(
        self, request_dict: Mapping[str, Any], code: str, answer: Mapping[str, Any], error: Exception | None
    ) -> str | None:
        """The URL by the other way of addressing, where the server or the network refuses this one."""
        url, bucket = request_dict["url"], _bucket_of(request_dict)
        if self._is_aws or not bucket:
            return None
        is_virtual = urlsplit(url).netloc.startswith(f"{bucket}.")
        if is_virtual:
            return _addressed(url, bucket, "path") if isinstance(error, (NoConnection, SSLError)) else None
        location = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("location", ""))
        is_sent_there = urlsplit(location).netloc == f"{bucket}.{urlsplit(url).netloc}"
        return _addressed(url, bucket, "virtual") if code in ADDRESSING_CODES or is_sent_there else None


def _status_and_code(response: Any) -> tuple[int, str, Mapping[str, Any]]:
    """HTTP status, error code and the parsed answer; 0 where none came."""
    if response is None:
        return 0, "", {}
    http, parsed = response
    return http.status_code, str(parsed.get("Error", {}).get("Code", "")), parsed


def _region_named(status: int, code: str, answer: Mapping[str, Any]) -> str:
    """The region that a refusal names as the right one; "" for none."""
    if code not in _WRONG_REGION and status not in (301, 307):
        return ""
    error, headers = answer.get("Error", {}), answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    expected = _EXPECTED.search(str(error.get("Message", "")))
    named = error.get("Region") or headers.get("x-amz-bucket-region") or (expected.group(1) if expected else "")
    return named if _REGION.fullmatch(str(named)) else ""


def _signed_for(request_dict: Mapping[str, Any]) -> str:
    context = request_dict["context"]
    return str(context.get("signing", {}).get("region") or context.get("client_region") or "")


def _bucket_of(request_dict: Mapping[str, Any]) -> str:
    return str(request_dict["context"].get("s3_redirect", {}).get("bucket") or "")


def _addressed(url: str, bucket: str, style: str) -> str | None:
    """The same request by another way of addressing; None where it has that already, or cannot have it."""
    parts = urlsplit(url)
    is_virtual = bool(bucket) and parts.netloc.startswith(f"{bucket}.")
    if not bucket or is_virtual == (style == "virtual") or (not is_virtual and _is_ip(parts.hostname or "")):
        return None
    if is_virtual:
        moved = parts._replace(netloc=parts.netloc[len(bucket) + 1 :], path=f"/{bucket}{parts.path or '/'}")
    else:
        path = parts.path.removeprefix(f"/{bucket}")
        if path == parts.path or not path.startswith(("/", "")) or (path and not path.startswith("/")):
            return None
        moved = parts._replace(netloc=f"{bucket}.{parts.netloc}", path=path or "/")
    return urlunsplit(moved)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
