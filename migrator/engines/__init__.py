"""What spreads units of work."""
