"""The tables from verdicts to actions: all that tells a rehearsal by size from a migration by content. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.core.outcomes import Action, Verdict

Rules = Mapping[Verdict, Action]
"""What to do with a raw file of the source. Raw files only at the target are counted as extra and never touched, under any rules."""

BY_CONTENT: Rules = {
    Verdict.SOURCE_ONLY: Action.COPY,
    Verdict.SAME_SIZE: Action.COMPARE,
    Verdict.DIFFERS: Action.DIFFER,
}

BY_SIZE: Rules = {
    Verdict.SOURCE_ONLY: Action.COPY,
    Verdict.SAME_SIZE: Action.ACCEPT,
    Verdict.DIFFERS: Action.DIFFER,
}

PROOF_BY_SIZE: Rules = {
    Verdict.SOURCE_ONLY: Action.MISS,
    Verdict.SAME_SIZE: Action.VOUCH,
    Verdict.DIFFERS: Action.DIFFER,
}

PROOF: Rules = {
    Verdict.SOURCE_ONLY: Action.MISS,
    Verdict.SAME_SIZE: Action.COMPARE,
    Verdict.DIFFERS: Action.DIFFER,
}

AGAINST_SUMS: Rules = {
    Verdict.SOURCE_ONLY: Action.MISS,
    Verdict.SAME_SIZE: Action.COMPARE,
    Verdict.DIFFERS: Action.COMPARE,
}
"""Against a manifest that tells no sizes."""

REFUSE: Rules = {
    Verdict.SOURCE_ONLY: Action.REFUSE,
    Verdict.SAME_SIZE: Action.REFUSE,
    Verdict.DIFFERS: Action.REFUSE,
}
"""For an organization that has no valid name at the target."""
