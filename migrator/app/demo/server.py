"""moto's S3 server, in a thread of this process: it ends with it, and keeps everything in memory. The only home of moto."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from migrator.core.errors import CannotStart

NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server on a free port of this machine for the block; yield its URL.

    Raises:
        CannotStart: If moto is missing.
    """
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 an extra, and a second to load
    except ImportError as error:
        raise CannotStart(
            "demo-extra-missing",
            "The demo needs moto's S3 server, which is not installed here.",
            why=str(error),
            cure=f"Install it: {sys.executable} -m pip install 'bytes-migrator[demo]'",
        ) from error
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # what moto cannot do is none of the reader's business
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with _without_aws_settings():
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@contextmanager
def _without_aws_settings() -> Iterator[None]:
    """Hide AWS_* settings in the block: moto asks boto3 for some, and a profile of the reader's would break it."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in own:
        del os.environ[name]
    os.environ.update(NO_AWS_FILES)
    try:
        yield
    finally:
        for name in NO_AWS_FILES:
            del os.environ[name]
        os.environ.update(own)
