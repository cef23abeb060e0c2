"""Entry point of ``python -m daemon``, the same program as ``subtitle-eraser``."""

import sys

from daemon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
