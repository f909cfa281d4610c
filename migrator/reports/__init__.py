"""What a run or a dry run came to, as one value and in several forms: text, JSON, CSV, HTML, metrics, Markdown.

In: totals, problems and findings. Out: text, and files in a report's folder.
May import: `core`, `config`, `ledger`, `sync`, `transfer`, `checks`, `switch`, `doctor`.
"""
