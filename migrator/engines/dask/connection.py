"""The way to a scheduler: tried for as long as patience lasts, and what is told where there is none."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from distributed import Client, Security

from migrator.core.errors import CannotStart, MigratorError, MustStop, SettingsError

FIRST_CONNECTION_SECONDS = 10.0
CLOSE_SECONDS = 5.0
_PAUSE = 0.2
_CA = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE"
_CERTIFICATE = "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"
_KEY = "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"


async def client_of(
    address: str,
    security: Security | None,
    *,
    patience: float,
    is_first: bool,
    is_over: Callable[[], bool],
    is_stopping: Callable[[], bool],
) -> Client | None:
    """Connect to a scheduler; return None when the run has ended meanwhile, or is stopping.

    Raises:
        CannotStart: If it is not reached at the first time, within `patience` seconds or what a first connection gets.
        MustStop: If it is not reached again within `patience` seconds.
    """  # noqa: DOC501 made by _unreachable
    seconds = min(patience, FIRST_CONNECTION_SECONDS) if is_first else patience
    until = time.monotonic() + seconds
    mine = security or _security_for(address)
    while not is_over():
        left = until - time.monotonic()
        try:
            client: Client = await Client(
                address, asynchronous=True, security=mine, timeout=max(1.0, min(left, 5.0)), set_as_default=False
            )
        except Exception as error:  # whatever a broken certificate or a foreign server makes of it
            if time.monotonic() >= until and not is_stopping():
                raise _unreachable(address, error, patience, is_first=is_first) from error
            await asyncio.sleep(_PAUSE)
            continue
        return client
    return None


def _security_for(address: str) -> Security:
    """Return Dask's own settings of TLS.

    Raises:
        SettingsError: If the address takes certificates, and one is not set or cannot be read.
    """
    if not address.startswith("tls://"):
        return Security()
    found = Security(require_encryption=True)
    for setting, path in (
        (_CA, found.tls_ca_file),
        (_CERTIFICATE, found.tls_client_cert),
        (_KEY, found.tls_client_key),
    ):
        is_inside = not path or "-----BEGIN" in path
        if (not path and setting != _KEY) or not (is_inside or os.access(str(path), os.R_OK)):
            state = f"names {path}, which cannot be read" if path else "is not set"
            raise SettingsError(
                "certificates-missing",
                f"{address} takes a certificate, and {setting} {state}.",
                why="Both sides of a TLS connection show one of the cluster's own CA.",
                cure=f"Set {_CA}, {_CERTIFICATE} and {_KEY} to the files, or write them into Dask's configuration.",
            )
    return found


def _unreachable(address: str, error: Exception, patience: float, *, is_first: bool) -> MigratorError:
    what = f"The Dask scheduler {address} does not answer"
    why = str(error) or type(error).__name__
    if not is_first:
        cure = "Start it again, then rerun the same command to resume."
        return MustStop("scheduler-gone", f"{what} any more, for {patience:.0f} seconds.", why=why, cure=cure)
    cure = f"Check address and port, and for tls:// that {_CA} is the CA of the cluster's certificates."
    return CannotStart("scheduler-unreachable", f"{what}.", why=why, cure=cure)


def silence() -> None:
    """Dask's own words hold tracebacks; ours say what it means. Each of its loggers has its own level."""
    for name in ("asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings(
        "ignore", category=RuntimeWarning, module="distributed"
    )  # of clients that never got through


async def within(seconds: float, close: Callable[[], Any]) -> None:
    """Close what may be gone already."""
    with suppress(Exception):
        await asyncio.wait_for(close(), seconds)
