"""The command line: parse, call, render, exit. The only package that knows click and tqdm."""
