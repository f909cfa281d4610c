"""The proxy that cures a server's refusal to create a bucket that is there: nginx's lines for just these buckets.

nginx 1.22 and later. It answers 200 itself where the server answers 409 to ``PUT /<bucket>`` without a query, and hands everything else
through with the client's ``Host``, over which the signatures are made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

LISTEN = "127.0.0.1:8334"


def nginx_lines(endpoint_url: str, buckets: Sequence[str], *, listen: str = LISTEN) -> tuple[str, ...]:
    """A server block for nginx's http section. `buckets` follow S3's naming rules; the address is Bytes' new AWS_ENDPOINT_URL."""
    parts = urlsplit(endpoint_url)
    names = "|".join(re.escape(bucket).replace("\\-", "-") for bucket in buckets)
    tls = (
        "    proxy_ssl_server_name on;",
        f"    proxy_ssl_name {parts.hostname};",
        "    # proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
    )
    return (
        "# nginx before the S3 server, for Bytes: in the http section, such as /etc/nginx/conf.d/bytes-s3.conf.",
        f"# Then set AWS_ENDPOINT_URL=http://{listen} for Bytes.",
        'map "$request_method $request_uri" $bytes_creates_a_bucket {',
        "    default 0;",
        f'    "~^PUT /({names})/?$" 1;',
        "}",
        "server {",
        f"    listen {listen};",
        "    client_max_body_size 0;",
        "    recursive_error_pages on;",
        "    ignore_invalid_headers off;",
        "    proxy_http_version 1.1;",
        '    proxy_set_header Connection "";',
        "    proxy_set_header Host $http_host;  # signatures are made over it",
        "    proxy_buffering off;",
        "    proxy_request_buffering off;",
        *(tls if parts.scheme == "https" else ()),
        "    location / {",
        "        error_page 418 = @create;",
        "        if ($bytes_creates_a_bucket) { return 418; }",
        f"        proxy_pass {parts.scheme}://{parts.netloc};",
        "    }",
        "    location @create {",
        "        proxy_intercept_errors on;",
        "        error_page 409 =200 @exists;",
        f"        proxy_pass {parts.scheme}://{parts.netloc};",
        "    }",
        "    location @exists {",
        '        return 200 "";',
        "    }",
        "}",
    )
