"""The audit: rows of Bytes' database, or of an export, compared with what lies where Bytes reads.

In: rows in the order of a scan, two `Source`s, keys, a login. Out: rows found, missing, altered, orphaned.
May import: `core`, `config`, `sync`.
"""
