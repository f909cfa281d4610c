"""Gives Bytes another place for its raw files, and takes that back: settings, stopping and starting, the journal, the guard.

In: the settings to change, how Bytes is deployed, the journal's folder. Out: Bytes with other settings, or as it was before.
Copies and compares nothing: `app` does. May import: `checks`, `ledger`, `config`, `doctor`, `core`.
"""
