"""What S3 servers, proxies and botocore say when something fails, as this program's own errors.

In: an exception, or an answer's status, headers and body. Out: a `MigratorError` with cause and cure, and whether trying again helps.
May import: as `stores`.
"""
