"""Copying raw files: whole or in parts, proven on the way."""
