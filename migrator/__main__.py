"""``python -m migrator``: the same as the console command ``bytes-migrator``."""

from migrator.cli.main import main

main()
