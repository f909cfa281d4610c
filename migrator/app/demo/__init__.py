"""A sample store, an S3 server of its own, and the commands shown on them, from disk to S3 and back.

In: how many files, or a folder to take some from. Out: lines for the terminal, and nothing left behind.
May import: as `app`; moto here alone.
"""
