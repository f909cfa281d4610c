"""A location on S3. The only package that knows boto3."""
