"""Dialects of S3: a table of what servers, proxies and policies answer, each row held on the program by `test_dialects.py`."""
