"""Runs the command line: `python -m rsgnet` is `rsgnet`."""

from rsgnet.cli import main

main()
