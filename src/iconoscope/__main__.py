"""``python -m iconoscope`` is the command line."""

import sys

from iconoscope.cli import main

if __name__ == "__main__":
    sys.exit(main())
