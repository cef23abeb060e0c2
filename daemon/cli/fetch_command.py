"""The command ``models fetch``: runs a fetch as configured and shows its progress."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from rich.console import Console

from daemon.cli.context import CommandContext
from daemon.cli.download_progress import download_progress
from daemon.models.fetching import FetchContext, FetchOutput, fetch
from daemon.models.hubs import make_hub, requests_from
from daemon.models.inventory import overview
from erasecore.errors import printable


def fetch_weights(context: CommandContext) -> int:
    """Fetch all weights that are missing, damaged or outdated; return 1 if the user stops it."""
    config, host = context.config.models, context.config.host()
    fetch_context = FetchContext(Path(host.models), Path(host.state), now=time.time())
    hub_of = partial(make_hub, models=config, tokens=context.environment.tokens)
    console = Console(stderr=True, highlight=False, markup=False)
    try:
        with download_progress(console) as bar:
            output = FetchOutput(lambda sentence: bar.print(printable(sentence)), bar.move)
            fetched = fetch(
                fetch_context, requests_from(config), hub_of, output, update=context.options.update
            )
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        return 1
    views = overview(fetch_context.models, fetch_context.state, now=fetch_context.now)
    total = sum(view.size_bytes for view in views) / 1e9
    result = f"{fetched} files fetched" if fetched else "everything was there"
    stdout = Console(highlight=False, markup=False)
    stdout.print(f"{fetch_context.models}: {result}, {total:.2f} GB in all", soft_wrap=True)
    return 0
