"""`models fetch`: the configuration's wishes, the user's screen, and the fetch between them."""

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
from daemon.storage.names import shown


def fetch_weights(asked: CommandContext) -> int:
    """Bring everything that is lacking."""
    config, host = asked.config.models, asked.config.host()
    context = FetchContext(Path(host.models), Path(host.state), now=time.time())
    hub_of = partial(make_hub, models=config, tokens=asked.environment.tokens)
    console = Console(stderr=True, highlight=False, markup=False)
    try:
        with download_progress(console) as bar:
            output = FetchOutput(lambda sentence: bar.print(shown(sentence)), bar.move)
            fetched = fetch(
                context, requests_from(config), hub_of, output, update=asked.options.update
            )
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        return 1
    views = overview(context.models, context.state, now=context.now)
    total = sum(view.size_bytes for view in views) / 1e9
    brought = f"{fetched} files fetched" if fetched else "everything was there"
    answer = Console(highlight=False, markup=False)
    answer.print(f"{context.models}: {brought}, {total:.2f} GB in all", soft_wrap=True)
    return 0
