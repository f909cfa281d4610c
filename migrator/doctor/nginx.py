"""nginx's lines for a proxy before a server that refuses to create a bucket that exists, for Bytes' calls to work there.

nginx 1.22 and later. The proxy passes every request on, with the client's ``Host``, over which signatures are made. It changes one
answer: 409 to ``PUT /<bucket>`` without a query becomes 200. Buckets of organizations that are made later work too, since the server
makes them. nginx cannot tell whose bucket answered 409; Bytes' next call, HEAD on the bucket, can.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LISTEN = "127.0.0.1:8334"


def proxy_url(endpoint_url: str, *, listen: str = LISTEN) -> str:
    """Return Bytes' new AWS_ENDPOINT_URL. A path of the old one stays, for signatures are made over it."""
    return f"http://{listen}{urlsplit(endpoint_url).path.rstrip('/')}"


def nginx_lines(endpoint_url: str, *, listen: str = LISTEN) -> tuple[str, ...]:
    """Return a `map` and a `server` block for nginx's http section."""
    parts = urlsplit(endpoint_url)
    path = re.escape(parts.path.rstrip("/")).replace("\\-", "-")
    tls = (
        "    proxy_ssl_server_name on;",
        f"    proxy_ssl_name {parts.hostname};",
        "    # proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
    )
    return (
        "# nginx before the S3 server, for Bytes: in the http section, such as /etc/nginx/conf.d/bytes-s3.conf.",
        f"# Then set AWS_ENDPOINT_URL={proxy_url(endpoint_url, listen=listen)} for Bytes.",
        "# It answers 200 where the server answers 409 to creating a bucket: the bucket exists. Buckets of new organizations are made",
        "# by the server. A 409 for a bucket of somebody else looks the same here: `bytes-migrator doctor --probe` tells it from yours.",
        'map "$request_method $request_uri" $bytes_creates_a_bucket {',
        "    default 0;",
        f'    "~^PUT {path}/[^/?]+/?$" 1;',
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
