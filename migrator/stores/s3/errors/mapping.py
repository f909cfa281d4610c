"""boto3's errors in the words of this program: by code, status and type; by a server's words only where it has no code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto

from migrator.core.errors import StoreError
from migrator.stores.s3.errors.client_side_errors import fault_in_reaching
from migrator.stores.s3.errors.codes import UNSUPPORTED
from migrator.stores.s3.errors.error_fields import code_of, request_id_of, status_of
from migrator.stores.s3.errors.server_answers import fault_of


def translate(error: Exception, where: str) -> StoreError:
    """What a failed call on `where` (an ``s3://`` URL or an endpoint) means. Raises what is none of boto3's or the network's errors."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, boto.ClientError):
        found = fault_of(error, where)
        found.request_id = request_id_of(error)
    else:
        found = fault_in_reaching(error, where)
    found.bucket = where.removeprefix("s3://").partition("/")[0] if where.startswith("s3://") else ""
    return found


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Have what fails in the block raised as what it means on `where`.

    Raises:
        StoreError: If the block raises one, or an error of boto3's or the network's.
    """  # noqa: DOC501 made by translate
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise translate(error, where) from error


def is_unsupported(error: BaseException) -> bool:
    """Whether the server does not know this call at all: 501, 405, or a code that says so. `error` is boto3's, or what was made of it."""
    cause = error if isinstance(error, boto.ClientError) else error.__cause__ or error
    return status_of(cause) in (405, 501) or code_of(cause) in UNSUPPORTED
