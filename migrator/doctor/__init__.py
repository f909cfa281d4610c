"""Whether a migration can work, and whether Bytes can work afterwards: what was seen, in an operator's words. Pure.

Looking is done by the stores; here are the values that they bring home, and the findings that are made of them.
"""
