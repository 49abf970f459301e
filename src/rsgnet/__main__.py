"""`python -m rsgnet` is `rsgnet`."""

from rsgnet.cli import main

if __name__ == "__main__":
    main()
