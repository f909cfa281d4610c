"""A location on S3. The only package that knows boto3, botocore, urllib3 and pycurl.

In: settings for S3 and a naming strategy. Out: a source, a target, a remover, and what the server was seen to do.
May import: as `stores`.
"""
