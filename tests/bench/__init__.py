"""Measures bytes-migrator beside the tools that operators would use instead, on the same machine, in the same minutes."""
