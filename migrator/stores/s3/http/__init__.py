"""HTTP for the fast lane: libcurl set up as boto3 is, Signature Version 4, and a watchdog for bodies that stall.

In: requests. Out: answers, or errors of `core.errors`.
May import: as `stores`.
"""
