"""Whether a migration can work, and whether Bytes can work afterwards: findings, each with cause and cure. Pure.

In: what `stores` and `app` have seen and asked. Out: `Finding`s, IAM policies, nginx's lines.
May import: `core`.
"""
