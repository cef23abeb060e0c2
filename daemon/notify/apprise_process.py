"""Main of the process that sends one message by apprise: JSON on standard input, an exit code.

The address is a secret, and the log and the errors of apprise show it: the parent process hears the
exit code only.
"""

from __future__ import annotations

import json
import sys

import apprise

from daemon.notify.programs import NO_ADDRESS, NOT_TAKEN


def main() -> int:
    """Send; return 0 if the address has taken the message."""
    given = json.load(sys.stdin)
    service = apprise.Apprise()
    if not service.add(given["url"]):
        return NO_ADDRESS
    return 0 if service.notify(body=given["text"], title=given["title"]) else NOT_TAKEN


if __name__ == "__main__":
    sys.exit(main())
