"""Whether a migration can work, and whether Bytes can work afterwards: findings, each with cause and cure.

In: what `stores` and `app` have seen and asked. Out: `Finding`s, IAM policies, nginx's lines.
Pure, but for `bytes_user`, which asks the system for its users. May import: `core`.
"""
