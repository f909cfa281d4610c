"""Single questions to a server, each answered in 5 seconds or not at all: what was answered is what is wanted here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from botocore.handlers import disable_signing

from migrator.config.locations import S3Access
from migrator.core.errors import AccessDenied, NotTheSame, StoreError, Unavailable
from migrator.doctor.bytes_calls import UNREADABLE_ANSWER
from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.errors.error_fields import code_of, status_of
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.listing.pages import REFUSED_V2
from migrator.transfer.retry import asked_again

SECONDS = 5.0
"""To connect, and for each wait for bytes of an answer."""

_PAUSES = (0.1, 0.5)
"""Seconds before a question is put again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResponse:
    """What came back. `status` 0: nothing did; `code` "" for a success; header names in lower case.

    `seconds` from asking to the answer, which came `at` (seconds since the epoch).
    """

    status: int
    code: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    at: float = field(default_factory=time.time)
    error: StoreError | None = None

    @property
    def is_fine(self) -> bool:
        """Return True if the request was carried out."""
        return self.error is None

    @property
    def is_denied(self) -> bool:
        """Return True if the server refused it for a lack of rights."""
        return isinstance(self.error, AccessDenied)

    @property
    def words(self) -> str:
        """Return the error in words, "" if there was none."""
        return self.error.what if self.error is not None else ""


Retry = Callable[[Callable[[], "ProbeResponse"]], "ProbeResponse"]


class ProbeClient:
    """One server, by one set of credentials. `like_bytes`: with boto3's own defaults, as Bytes' client has them. `unsigned`: as a stranger.

    Answers are added to `answers`, which askers may share. `retry` is `RetryPolicy.run` where a server that fails for a moment is to be
    waited for; without it, it is asked three times at most, within a second, where it answers that it failed itself: once where it always
    does so for that operation (moto, for the parts of an upload that is not there).
    """

    def __init__(
        self,
        access: S3Access,
        *,
        like_bytes: bool = False,
        retry: Retry | None = None,
        answers: list[ProbeResponse] | None = None,
        unsigned: bool = False,
    ) -> None:
        connection = connect(access, connect_timeout=SECONDS, read_timeout=SECONDS, with_our_choices=not like_bytes)
        self.client = connection.client
        if unsigned:
            self.client.meta.events.register_first("choose-signer.s3", disable_signing)
        self._adapting = connection.adapting
        self._pauses = () if like_bytes else _PAUSES  # boto3's own defaults try five times
        self._retry = retry
        self._asking_again = threading.Lock()
        self._failed_for_good: set[str] = set()
        self.credentials_from = getattr(connection.credentials, "method", "")
        self.endpoint_url = connection.client.meta.endpoint_url
        self.answers: list[ProbeResponse] = answers if answers is not None else []

    def close(self) -> None:
        """Close its connections."""
        self.client.close()

    def adapted(self, access: S3Access) -> S3Access:
        """The settings with what was learned of the server by asking it."""
        return self._adapting.applied_to(access)

    def ask(self, operation: str, where: str, **arguments: Any) -> ProbeResponse:
        """Call one operation of boto3's client, such as ``head_bucket``, on `where` (an ``s3://`` URL). Never raises for an answer."""
        call = partial(getattr(self.client, operation), **arguments)
        if self._retry is None:
            answer = self._ask_patiently(operation, partial(_answer_to, call, where))
        else:
            answer = self._retry(lambda: _unless_temporary(_answer_to(call, where)))
        self.answers.append(answer)
        return answer

    def _ask_patiently(self, operation: str, put: Callable[[], ProbeResponse]) -> ProbeResponse:
        """Put a question again where the server fails; not where it has failed at this operation for good, on another bucket."""
        answer = put()
        if _is_no_failure(answer) or not self._pauses:
            return answer
        with self._asking_again:
            if operation in self._failed_for_good:
                return answer
            time.sleep(self._pauses[0])
            answer = asked_again(put, is_final=_is_no_failure, pauses=self._pauses[1:])
            if not _is_no_failure(answer):
                self._failed_for_good.add(operation)
        return answer

    def list_objects(self, where: str, **arguments: Any) -> ProbeResponse:
        """Ask for the first page of a listing, by ListObjectsV2, or by ListObjects where the server refuses that and not this."""
        answer = self.ask("list_objects_v2", where, **arguments)
        if answer.status not in REFUSED_V2:
            return answer
        instead = self.ask("list_objects", where, **arguments)
        return instead if instead.is_fine else answer

    def list_buckets(self, where: str) -> ProbeResponse:
        """Ask for the list of buckets, all of its pages: the last page's answer, or the first that failed, with the buckets of all."""
        found: list[Any] = []
        answer, tokens = self.ask("list_buckets", where), {""}
        while answer.is_fine and "Buckets" in answer.data:
            found += answer.data["Buckets"]
            token = str(answer.data.get("ContinuationToken") or "")
            if token in tokens:
                return replace(answer, data={**answer.data, "Buckets": found})
            tokens.add(token)
            answer = self.ask("list_buckets", where, ContinuationToken=token)
        return answer

    def read(self, where: str, expected: bytes, **arguments: Any) -> ProbeResponse:
        """Get an object to its end; other bytes than expected are a failure, with the code ``OtherContent``."""
        answer = self.ask("get_object", where, **arguments)
        if not answer.is_fine:
            return answer
        try:
            content = answer.data["Body"].read(len(expected) + 1)
        except Exception as error:
            return _failed(error, where, answer.seconds)
        if content != expected:
            wrong = NotTheSame("other-content", f"{where} has another content than was put there.")
            return replace(answer, code="OtherContent", error=wrong)
        return answer


def _answer_to(call: Callable[[], Any], where: str) -> ProbeResponse:
    began = time.monotonic()
    try:
        data = call()
    except Exception as error:
        return _failed(error, where, time.monotonic() - began)
    metadata = data["ResponseMetadata"]
    return ProbeResponse(
        status=metadata["HTTPStatusCode"], data=data, headers=metadata["HTTPHeaders"], seconds=time.monotonic() - began
    )


def _is_no_failure(answer: ProbeResponse) -> bool:
    """Return False for an answer by which the server says that it failed itself; no answer at all is final."""
    return answer.status < 500 or not isinstance(answer.error, Unavailable)


def _unless_temporary(answer: ProbeResponse) -> ProbeResponse:
    if isinstance(answer.error, Unavailable):
        raise answer.error
    return answer


def _failed(error: Exception, where: str, seconds: float) -> ProbeResponse:
    metadata = (getattr(error, "response", None) or {}).get("ResponseMetadata", {})
    if isinstance(
        error, TypeError
    ):  # botocore follows redirects to other regions, and trips over calls that name no bucket
        error = RecursionError()
    fault = translate(error, where)
    kind = type(error).__name__
    if (
        type(error) is ValueError
    ):  # botocore's parser, of a header or element that it cannot read, such as an empty Last-Modified
        fault = StoreError(
            UNREADABLE_ANSWER, f"boto3 cannot read the server's answer to a question on {where}.", why=str(error)
        )
    elif kind == "ResponseParserError":
        fault = StoreError("not-s3", f"The answer to a question on {where} is not S3's.")
    elif "Timeout" in kind:
        fault = Unavailable(
            fault.name, fault.what, why=f"There was no answer within {SECONDS:.0f} seconds.", cure=fault.cure
        )
    return ProbeResponse(
        status=status_of(error),
        code=code_of(error) or fault.name,
        headers=metadata.get("HTTPHeaders", {}),
        seconds=seconds,
        error=fault,
    )
