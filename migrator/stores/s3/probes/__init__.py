"""All requests made to find out what a server does: rights, limits, clock, quirks, and Bytes' own calls.

In: the settings of an end, and the organizations. Out: what was seen, as values that `doctor` judges.
May import: as `stores`.
"""
