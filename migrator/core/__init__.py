"""The words that everything else is written in: raw files, outcomes, totals, errors, protocols, names, part sizes.

In and out: plain values; nothing here opens a file, a clock or a network.
May import: nothing of this project outside `core`.
"""
