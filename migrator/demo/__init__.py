"""The demo: a sample store, an S3 server inside this program, and the real commands on both."""
