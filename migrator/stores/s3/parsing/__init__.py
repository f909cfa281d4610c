"""Values in S3's answers that servers write in more than one way: ETags, times, and broken XML.

In: text or bytes of an answer. Out: one form of each.
May import: as `stores`.
"""
