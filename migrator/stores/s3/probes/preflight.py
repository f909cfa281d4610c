"""A look at a server that writes nothing: what answers to harmless questions tell of it, of its buckets and of our rights there."""

from __future__ import annotations

import email.utils
from collections.abc import Iterable, Sequence
from functools import partial
from urllib.parse import urlsplit

from migrator.core.errors import MigratorError, StoreError
from migrator.core.naming import Naming
from migrator.core.parallel_calls import run_concurrently
from migrator.doctor.rights import Right
from migrator.doctor.server import SAMPLES, ServerSeen
from migrator.stores.reserved_names import OWN_PREFIXES, PROBE_PREFIX
from migrator.stores.s3.probes.client import ProbeClient, ProbeResponse

_NO_UPLOAD = "0" * 32
"""An upload id that no server ever gave: a call on it changes nothing, and is refused as forbidden only where it is."""
_KEY = f"{PROBE_PREFIX}none"


class ServerInspection:
    """Asks one server by `asker`. Every question is asked once."""

    def __init__(self, asker: ProbeClient, endpoint: str) -> None:
        self._asker = asker
        self._endpoint = endpoint
        self._versioning: str | None = None
        self._locked: bool | None = None
        self._encryption: str | None = None

    def existing(self, buckets: Sequence[str]) -> tuple[frozenset[str], MigratorError | None]:
        """Which of these buckets are there; and what keeps us from asking anything, if something does."""
        answer = self._asker.list_buckets(self._endpoint)
        trouble = trouble_of(answer, self._endpoint)
        if trouble is not None:
            return frozenset(), trouble
        if answer.is_fine and "Buckets" not in answer.data:
            return frozenset(), _not_s3(self._endpoint, answer.headers.get("content-type", ""))
        there = {found["Name"] for found in answer.data.get("Buckets", ())}
        unlisted = [bucket for bucket in buckets if bucket not in there]  # the list has only what is this account's own
        answers = run_concurrently([partial(self._head, bucket) for bucket in unlisted])
        more = {bucket for bucket, is_there in zip(unlisted, answers, strict=True) if is_there}
        return frozenset((there & set(buckets)) | more), None

    def _head(self, bucket: str) -> bool:
        answer = self._asker.ask("head_bucket", f"s3://{bucket}", Bucket=bucket)
        return answer.is_fine or answer.is_denied

    def rights_to_read(self, bucket: str, prefix: str = "") -> tuple[list[Right], ProbeResponse]:
        """ListBucket and GetObject on a bucket that is there, and the first page of its listing."""
        listed = self._asker.list_objects(f"s3://{bucket}", Bucket=bucket, Prefix=prefix, MaxKeys=1000)
        read = self._asker.ask("get_object", f"s3://{bucket}/{_KEY}", Bucket=bucket, Key=_KEY)
        return [
            Right("s3:ListBucket", bucket, _allowed(listed)),
            Right("s3:GetObject", f"{bucket}/*", _allowed(read, without_list=listed.is_denied)),
        ], listed

    def rights_to_list(self, bucket: str) -> tuple[Right, ProbeResponse]:
        """Ask for one page of the bucket; return whether that is allowed, and the answer."""
        listed = self._asker.list_objects(f"s3://{bucket}", Bucket=bucket, MaxKeys=1000)
        return Right("s3:ListBucket", bucket, _allowed(listed)), listed

    def rights_to_write(self, bucket: str) -> list[Right]:
        """PutObject, AbortMultipartUpload and ListMultipartUploadParts on a bucket that is there, by calls that cannot change anything."""
        where = f"s3://{bucket}/{_KEY}"
        upload = {"Bucket": bucket, "Key": _KEY, "UploadId": _NO_UPLOAD}
        part = {"Parts": [{"ETag": f'"{_NO_UPLOAD}"', "PartNumber": 1}]}
        ask = partial(self._asker.ask, where=where, **upload)
        put, abort, parts = run_concurrently(
            [
                partial(ask, "complete_multipart_upload", MultipartUpload=part),
                partial(ask, "abort_multipart_upload"),
                partial(ask, "list_parts"),
            ]
        )
        return [
            Right("s3:PutObject", f"{bucket}/*", _allowed(put)),
            Right("s3:AbortMultipartUpload", f"{bucket}/*", _allowed(abort)),
            Right("s3:ListMultipartUploadParts", f"{bucket}/*", _allowed(parts)),
        ]

    def settings_of(self, bucket: str) -> None:
        """Versioning, object lock and default encryption; what may not be asked stays unknown."""
        where = f"s3://{bucket}"
        answer = self._asker.ask("get_bucket_versioning", where, Bucket=bucket)
        if answer.is_fine:
            self._versioning = answer.data.get("Status", "")
        answer = self._asker.ask("get_object_lock_configuration", where, Bucket=bucket)
        if answer.is_fine or answer.status == 404:
            configuration = answer.data.get("ObjectLockConfiguration", {})
            self._locked = configuration.get("ObjectLockEnabled") == "Enabled"
        answer = self._asker.ask("get_bucket_encryption", where, Bucket=bucket)
        if answer.is_fine or answer.status == 404:
            rules = answer.data.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
            default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
            self._encryption = default.get("SSEAlgorithm", "")

    def sample_latency(self, bucket: str | None) -> None:
        """Ask until enough answers were timed to have a median."""
        for _ in range(SAMPLES - len(self._timed())):
            if bucket is None:
                answer = self._asker.ask("list_buckets", self._endpoint)
            else:
                answer = self._asker.ask("head_bucket", f"s3://{bucket}", Bucket=bucket)
            if not answer.status:
                return

    def _timed(self) -> list[float]:
        return [answer.seconds for answer in self._asker.answers if answer.status]

    def seen(self, trouble: MigratorError | None = None) -> ServerSeen:
        """Return all that was seen of the server; `trouble` is what kept it from being asked."""
        url = urlsplit(self._asker.endpoint_url)
        return ServerSeen(
            endpoint=self._endpoint,
            trouble=trouble,
            skew=_skew(self._asker.answers),
            latencies=tuple(self._timed()[:SAMPLES]),
            virtual_hosted=(url.hostname or "").endswith(".amazonaws.com"),
            versioning=self._versioning,
            locked=self._locked,
            encryption=self._encryption,
        )


def foreign(listed: ProbeResponse, naming: Naming, bucket: str) -> tuple[list[str], int]:
    """What in a page of a listing is no raw file, as ``s3://`` URLs, and how many objects there were."""
    keys = [found["Key"] for found in listed.data.get("Contents", ())]
    ours = [key for key in keys if not key.startswith(OWN_PREFIXES)]
    return [f"s3://{bucket}/{key}" for key in ours if naming.raw_file_at(bucket, key) is None], len(ours)


def trouble_of(answer: ProbeResponse, endpoint: str) -> MigratorError | None:
    """What no further question to this server can get around: no answer, no trust, refused keys, another place, no S3."""
    content_type = answer.headers.get("content-type", "")
    if "html" in content_type or answer.code == "not-s3":
        return _not_s3(endpoint, content_type)
    if answer.error is None or (answer.is_denied and answer.error.name == "access-denied"):
        return None
    return answer.error


def _not_s3(endpoint: str, content_type: str) -> StoreError:
    kind = f" ({content_type})" if content_type else ""
    return StoreError(
        "not-s3",
        f"What answers at {endpoint} is not S3{kind}.",
        why="A web console, a login page or a proxy answers there.",
        cure=("Set AWS_ENDPOINT_URL to the server's S3 port; NO_PROXY bypasses a proxy."),
    )


def _allowed(answer: ProbeResponse, *, without_list: bool = False) -> bool | None:
    """A refusal is told by its code; an object that is not there may be refused too where listing is."""
    if answer.is_denied:
        return None if without_list else False
    return None if not answer.status or answer.status >= 500 else True


def _skew(answers: Iterable[ProbeResponse]) -> float | None:
    """Seconds that the server's clock is ahead, by the first date that it told; its dates have whole seconds."""
    for answer in answers:
        try:
            server_time = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except ValueError:
            continue
        ahead = server_time - answer.at
        return 0.0 if abs(ahead) < 1.5 + answer.seconds else ahead
    return None
