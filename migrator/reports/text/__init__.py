"""Reports for the terminal and as JSON: a module for each command with its report's value and both forms, and what they share.

In: what was found and the terminal's width. Out: lines of text and JSON documents, which `cli` prints.
May import: as `reports`.
"""
