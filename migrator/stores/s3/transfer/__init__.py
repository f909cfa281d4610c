"""Objects moved: whole, in parts, in ranges, many small ones at once, or copied by the server.

In: contents and conditions. Out: receipts with the ETag that the server answered.
May import: as `stores`.
"""
