"""Reports for the terminal: a module for each command, and the sentences, wrapping and findings that they share.

In: a report's values and the terminal's width. Out: lines of text, which `cli` prints.
May import: as `reports`.
"""
