"""What else a server does otherwise than S3. This writes objects that Bytes can never take for raw files, and removes them again."""

from __future__ import annotations

import base64
import hashlib

from migrator.doctor.server import Quirks
from migrator.stores.reserved_names import PROBE_PREFIX
from migrator.stores.s3.parsing.etags import content_md5
from migrator.stores.s3.probes.client import ProbeClient, ProbeResponse

_CONTENT = b"bytes-migrator looks what this server does with checksums\n"
_MD5 = content_md5(_CONTENT)
"""Sent with what has no other digest: object lock demands one."""
_NAMES = ("a/é +%", "a-b/x")
"""In byte order "-" comes before "/", in the order of a folder tree it comes after."""


def probe_habits(asker: ProbeClient, bucket: str, name: str) -> Quirks:
    """14 requests; whatever cannot be seen is None."""
    return _QuirkProbe(asker, bucket, f"{PROBE_PREFIX}{name}/").run()


class _QuirkProbe:
    def __init__(self, asker: ProbeClient, bucket: str, prefix: str) -> None:
        self._asker = asker
        self._bucket = bucket
        self._prefix = prefix

    def run(self) -> Quirks:
        right = base64.b64encode(hashlib.sha256(_CONTENT).digest()).decode()
        wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
        keys = [f"{self._prefix}{name}" for name in _NAMES]
        if not self._ask("put_object", keys[0], Body=_CONTENT, ChecksumSHA256=right).is_fine:
            return Quirks()
        try:
            head = self._ask("head_object", keys[0], ChecksumMode="ENABLED")
            refused = self._ask("put_object", keys[1], Body=_CONTENT, ChecksumSHA256=wrong)
            if not refused.is_fine:
                self._ask("put_object", keys[1], Body=_CONTENT, ContentMD5=_MD5)
            in_order = self._lists_in_order(keys)
            has_minimum = self._has_part_minimum()
        finally:
            for key in keys:
                self._ask("delete_object", key)
        return Quirks(
            lists_in_byte_order=in_order,
            has_part_minimum=has_minimum,
            checks_checksums=not refused.is_fine if refused.status else None,
            returns_checksums="ChecksumSHA256" in head.data if head.is_fine else None,
        )

    def _lists_in_order(self, keys: list[str]) -> bool | None:
        answer = self._asker.list_objects(f"s3://{self._bucket}", Bucket=self._bucket, Prefix=self._prefix)
        found = [one["Key"] for one in answer.data.get("Contents", ())]
        return found == sorted(keys, key=str.encode) if answer.is_fine else None

    def _has_part_minimum(self) -> bool | None:
        key = f"{self._prefix}parts"
        begun = self._ask("create_multipart_upload", key)
        if not begun.is_fine:
            return None
        upload = {"UploadId": begun.data["UploadId"]}
        parts = []
        for number in (1, 2):
            sent = self._ask("upload_part", key, PartNumber=number, Body=b"small", **upload)
            parts.append({"PartNumber": number, "ETag": sent.data.get("ETag", "")})
        ended = self._ask("complete_multipart_upload", key, MultipartUpload={"Parts": parts}, **upload)
        if ended.is_fine:
            self._ask("delete_object", key)
            return False
        self._ask("abort_multipart_upload", key, **upload)
        return ended.code == "EntityTooSmall" or None

    def _ask(self, operation: str, key: str, **arguments: object) -> ProbeResponse:
        return self._asker.ask(operation, f"s3://{self._bucket}/{key}", Bucket=self._bucket, Key=key, **arguments)
