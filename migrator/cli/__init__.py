"""The command line: parse, call, render, exit.

In: arguments, the environment, a terminal. Out: text or JSON on stdout, progress and errors on stderr, the exit status.
May import: everything; click and tqdm here alone.
"""
