"""What the operator asked for, as frozen values: settings with their origins, locations, limits, ages of raw files.

In: env files, the environment, options. Out: `Locations`, `Limits`, and findings about settings that mean something else.
May import: `core`, `doctor`.
"""
