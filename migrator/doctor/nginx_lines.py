"""nginx's lines for a proxy before an S3 server: for Bytes' calls to work there, and for reading through to the data folder.

nginx 1.22 and later. The proxy passes every request on, with the client's ``Host``, over which signatures are made. It changes one
answer: 409 to ``PUT /<bucket>`` without a query becomes 200. Buckets of organizations that are made later work too, since the server
makes them. nginx cannot tell whose bucket answered 409; Bytes' next call, HEAD on the bucket, can.

With read-through, a GET or HEAD of a raw file that S3 answers with 404 is answered from the data folder. S3 has checked the signature
by then: it answers 403 to strangers. What is not there either gets S3's own answer, which S3 is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from migrator.core.errors import SettingsError
from migrator.core.naming import Naming, SingleBucket
from migrator.core.read_through_header import FROM_DISK, HEADER, MARK, PASSED_ON

LISTEN = "127.0.0.1:8334"
CREATES_A_BUCKET = 'map "$request_method $request_uri" $bytes_creates_a_bucket {'
AT_ALL_PATHS = "location / {"
IF_CREATES = "if ($bytes_creates_a_bucket) { return 418; }"
AT_CREATE = "location @create {"
"""Lines beside which read-through gets its blocks."""
END = f"# end of {MARK}"
_LISTEN = re.compile(r"(?m)^\s*listen\s+([^\s;]+)")
_PROXY_PASS = re.compile(r"(?m)^\s*proxy_pass\s+([^\s;]+)")
_RAW_ID = "(?<bytes_index>[0-9a-f]{3})(?<bytes_rest>[0-9a-f]{5}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_ORGANIZATION = "(?<bytes_organization>[^/.~A-Z]{1,128})"
"""An organization's code has at most 32 characters of any script, which are up to 128 bytes."""
_NOT_IN_PATHS = re.compile(r"[\x00-\x1f\x7f\"'\\\\$]")
"""What cannot stand in a quoted path of nginx: there is no way to write a ``$``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """Where nginx finds what S3 does not have: Bytes' data folder, and the buckets whose raw files lie there.

    `organizations`: those that have a bucket of their own; with one bucket for all, any organization of the folder is meant.
    """

    root: Path
    naming: Naming
    organizations: tuple[str, ...] = ()

    def patterns(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield a regular expression of nginx for a decoded path on the server, and the raw file's path in the folder."""
        if isinstance(self.naming, SingleBucket):
            bucket = _escaped(self.naming.bucket)
            yield f"{path}/{bucket}/{_ORGANIZATION}/{_RAW_ID}", "$bytes_organization"
            return
        for organization in self.organizations:
            bucket = _escaped(self.naming.bucket_of(organization))
            yield f"{path}/{bucket}/{_RAW_ID}", organization


def proxy_url(endpoint_url: str, *, listen: str = LISTEN) -> str:
    """Return Bytes' new AWS_ENDPOINT_URL. A path of the old one stays, for signatures are made over it."""
    return f"http://{listen}{urlsplit(endpoint_url).path.rstrip('/')}"


def nginx_lines(endpoint_url: str, *, listen: str = LISTEN, reads: DataFolder | None = None) -> tuple[str, ...]:
    """Return what stands in nginx's http section; `reads` adds read-through. Raises SettingsError for a path that nginx cannot read."""
    parts = urlsplit(endpoint_url)
    path = _escaped(parts.path.rstrip("/"))
    server = f"{parts.scheme}://{parts.netloc}"
    lines = (
        *_comments(endpoint_url, listen),
        CREATES_A_BUCKET,
        "    default 0;",
        f'    "~^PUT {path}/[^/?]+/?$" 1;',
        "}",
        "server {",
        f"    listen {listen};",
        *_passing_on(parts.scheme, parts.hostname or ""),
        f"    {AT_ALL_PATHS}",
        "        error_page 418 = @create;",
        f"        {IF_CREATES}",
        f"        proxy_pass {server};",
        "    }",
        f"    {AT_CREATE}",
        "        proxy_intercept_errors on;",
        "        error_page 409 =200 @exists;",
        f"        proxy_pass {server};",
        "    }",
        "    location @exists {",
        '        return 200 "";',
        "    }",
        "}",
    )
    return lines if reads is None else reading_through(lines, reads, path=parts.path.rstrip("/"))


class ProxyLines(NamedTuple):
    """Where nginx listens, and the server that it passes on to, as its file has them."""

    listen: str
    server: str


def proxy_lines(lines: Iterable[str]) -> ProxyLines | None:
    """Return what a file with the lines of `nginx_lines` says, edited or not; None for any other file."""
    text = "\n".join(lines)
    listen, server = _LISTEN.search(text), _PROXY_PASS.search(text)
    if CREATES_A_BUCKET not in text or listen is None or server is None:
        return None
    return ProxyLines(listen.group(1), server.group(1))


def reading_through(lines: Sequence[str], reads: DataFolder, *, path: str = "") -> tuple[str, ...]:
    """Return nginx' lines, those of `nginx_lines` or edited ones, with the blocks that read through; every other line as it was.

    `path` is the endpoint's.

    Raises:
        SettingsError: If a line is not there, or there twice, that a block belongs to; or for a path that nginx cannot read.
    """
    _refuse_path(reads.root)
    found = proxy_lines(lines)
    server = found.server if found is not None else ""
    result = list(lines)
    for anchor, is_after, block in (
        (CREATES_A_BUCKET, False, [*_maps(_escaped(path), reads)]),
        (AT_ALL_PATHS, False, [f"add_header {HEADER} {PASSED_ON} always;"]),
        (IF_CREATES, True, ["error_page 419 = @raw_file;", "if ($bytes_raw_file) { return 419; }"]),
        (AT_CREATE, False, [*_reading(server, reads.root)]),
    ):
        at = [number for number, line in enumerate(result) if line.strip() == anchor]
        if len(at) != 1:
            raise SettingsError(
                "read-through-lines",
                f"nginx' file has the line {anchor!r} {len(at)} times, and read-through belongs beside the only one.",
                why="It is not as `bytes-migrator runbook` and `doctor` print it.",
                cure="Name a new file with --nginx-file, or put the printed lines in place of these.",
            )
        indent = result[at[0]][: len(result[at[0]]) - len(anchor)]
        head = _mark(reads.root) if anchor == CREATES_A_BUCKET else [f"# {MARK}"]
        place = at[0] + is_after
        result[place:place] = [indent + line for line in (*head, *block, END)]
    return tuple(result)


def without_reading_through(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines without the blocks that `reading_through` put between them.

    Raises:
        SettingsError: If one has no end.
    """
    result: list[str] = []
    is_within = False
    for line in lines:
        if line.strip() == END:
            is_within = False
        elif is_within or line.lstrip().startswith(f"# {MARK}"):
            is_within = True
        else:
            result.append(line)
    if is_within:
        raise SettingsError(
            "read-through-lines",
            f"nginx' file has lines of {MARK}, and no line {END!r} after them.",
            why="They were edited, or an earlier version printed them.",
            cure="Replace them by the lines that `bytes-migrator runbook` prints, and reload nginx.",
        )
    return tuple(result)


def _mark(root: Path) -> tuple[str, ...]:
    return (
        f"# {MARK} from {root}: a raw file that S3 answers with 404 is served from there, with the",
        f"# header {HEADER}: {FROM_DISK}. For the time of the migration: remove it before `bytes-migrator prune`.",
    )


def _comments(endpoint_url: str, listen: str) -> Iterator[str]:
    yield "# nginx before the S3 server, for Bytes: in the http section, such as /etc/nginx/conf.d/bytes-s3.conf."
    yield f"# Then set AWS_ENDPOINT_URL={proxy_url(endpoint_url, listen=listen)} for Bytes."
    yield "# It answers 200 where the server answers 409 to creating a bucket: the bucket exists. Buckets of new organizations are made"
    yield "# by the server. A 409 for a bucket of somebody else looks the same here: `bytes-migrator doctor --probe` tells it from yours."


def _maps(path: str, reads: DataFolder) -> Iterator[str]:
    """`$bytes_raw_file`: a raw file's path in the folder, for a plain GET or HEAD of one; "" for all other requests.

    The path is looked at as it was sent (no query, nothing encoded that needs not be, no empty or dotted part), then decoded.
    """
    conditions = "".join(
        f"$http_{name}" for name in ("range", "if_match", "if_none_match", "if_modified_since", "if_unmodified_since")
    )
    yield f'map "$request_method $request_uri|{conditions}" $bytes_reads {{'
    yield '    default "";'
    yield r'    "~^(?:GET|HEAD) (?:/(?!\.)(?:[A-Za-z0-9._~-]|%[89A-F][0-9A-F])+)+\|$" "reads ";'
    yield "}"
    yield 'map "$bytes_reads$uri" $bytes_raw_file {'
    yield '    default "";'
    for pattern, organization in reads.patterns(path):
        yield f'    "~^reads {pattern}$" "{organization}/$bytes_index/$bytes_index$bytes_rest";'
    yield "}"


def _passing_on(scheme: str, host: str) -> Iterator[str]:
    yield "    client_max_body_size 0;"
    yield "    recursive_error_pages on;"
    yield "    ignore_invalid_headers off;"
    yield "    proxy_intercept_errors off;"
    yield "    proxy_http_version 1.1;"
    yield '    proxy_set_header Connection "";'
    yield "    proxy_set_header Host $http_host;  # signatures are made over it"
    yield "    proxy_buffering off;"
    yield "    proxy_request_buffering off;"
    if scheme == "https":
        yield "    proxy_ssl_server_name on;"
        yield f"    proxy_ssl_name {host};"
        yield "    # proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;"


def _reading(server: str, root: Path) -> Iterator[str]:
    """S3 first; its 404 alone leads to the folder, and what is not there either back to S3, for its own answer."""
    yield "location @raw_file {"
    yield "    proxy_intercept_errors on;"
    yield "    error_page 404 = @disk;"
    yield f"    proxy_pass {server};"
    yield "}"
    yield "location @disk {"
    yield f'    root "{root}";'
    yield "    disable_symlinks on from=$document_root;"
    yield "    open_file_cache off;"
    yield "    types { }"
    yield "    default_type binary/octet-stream;"
    yield "    charset off;"
    yield "    gzip off;"
    yield "    etag off;"
    yield "    if_modified_since off;"
    yield "    max_ranges 0;"
    yield f"    add_header {HEADER} {FROM_DISK} always;"
    yield "    error_page 403 404 500 = @s3;"
    yield "    try_files /$bytes_raw_file @s3;"
    yield "}"
    yield "location @s3 {"
    yield f"    proxy_pass {server};"
    yield "}"


def _refuse_path(root: Path) -> None:
    if _NOT_IN_PATHS.search(str(root)) or not root.is_absolute():
        raise SettingsError(
            "read-through-path",
            f"nginx cannot be given the data folder {str(root)!r} in its file.",
            why="It must begin with a slash, without $, quote, backslash or control character.",
            cure="Mount or link it at a plain path, and name that with --from.",
        )


def read_through_files(folders: Iterable[Path]) -> list[str]:
    """Return the files of nginx in these folders that have lines for read-through; a folder that is not there has none."""
    found = []
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            try:
                text = path.read_text(errors="replace") if path.is_file() else ""
            except OSError:
                continue
            if any(line.lstrip().startswith(f"# {MARK}") for line in text.splitlines()):
                found.append(str(path))
    return found


def _escaped(text: str) -> str:
    return re.escape(text).replace("\\-", "-")
