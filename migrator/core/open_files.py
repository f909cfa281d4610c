"""How many files and connections this process may have open at once, and what fits into that."""

from __future__ import annotations

import resource

_WANTED = 4096
_OF_THE_PROCESS = 32
"""Descriptors that are open whatever is under way: pipes, the ledger, folders, a server's first connections; 25 were counted."""
_OF_A_JOB = 4
"""A connection of either lane, and a file at either end."""
_FOLDERS_SHARE = 8


def raise_limit() -> None:
    """Raise the soft limit to what 512 jobs need, as far as the hard limit allows: 1,024 is the common default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def jobs_that_fit(jobs: int) -> int:
    """As many jobs of one process as its limit allows, at least one."""
    return max(1, min(jobs, (_limit() - _OF_THE_PROCESS) // _OF_A_JOB))


def folders_that_fit(folders: int) -> int:
    """As many folders kept open as leave room for the rest, at least one."""
    return max(1, min(folders, _limit() // _FOLDERS_SHARE))


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _WANTED if soft == resource.RLIM_INFINITY else soft
