"""`python -m jinit`: the same command line."""

import sys

from jinit.cli import main

if __name__ == "__main__":
    sys.exit(main())
