"""What a run or a dry run came to, as one value and in several forms."""
