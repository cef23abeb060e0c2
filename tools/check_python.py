"""Say in one sentence what is missing before the environment can be made.

The oldest Python 3 must be able to run it, or nobody would see the sentence.
"""

import importlib.util
import sys

OLDEST = (3, 11)
FIRST_UNTESTED = (3, 14)


def complaint():  # noqa: ANN201 - must parse on any Python 3, and mypy reads the next line
    # type: () -> str
    """Return what prevents an environment, or an empty string."""
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031 - must parse on any Python 3
    if not OLDEST <= tuple(sys.version_info[:2]) < FIRST_UNTESTED:
        return (
            "Python 3.11, 3.12 or 3.13 is needed, and this is Python " + found + ". "
            "Name another one with `make PYTHON=python3.12 ...`; "
            "README.md says how Ubuntu 22.04 gets one."
        )
    if importlib.util.find_spec("ensurepip") is None:
        return (
            "Python's venv module is not complete. "
            "Install it with `apt-get install python" + found + "-venv` and try again."
        )
    return ""


if __name__ == "__main__":
    sys.exit(complaint() or 0)
