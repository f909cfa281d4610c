"""Guarded listings: of buckets and of keys. A page that is not surely one is a failure, never an empty bucket.

In: pages as XML or from boto3. Out: entries in ascending order; buckets, which `buckets` also makes.
May import: as `stores`.
"""
