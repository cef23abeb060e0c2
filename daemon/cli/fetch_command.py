"""`models fetch`: the configuration's wishes, the user's screen, and the fetch between them."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from rich.console import Console

from daemon.cli.context import CommandContext
from daemon.cli.download_progress import download_progress
from daemon.models.fetching import FetchOutput, Place, fetch
from daemon.models.hubs import make_hub, requests_from
from daemon.models.inventory import overview
from daemon.storage.names import shown


def fetch_weights(asked: CommandContext) -> int:
    """Bring everything that is lacking."""
    config, host = asked.config.models, asked.config.host()
    place = Place(Path(host.models), Path(host.state), now=time.time())
    hub_of = partial(make_hub, models=config, tokens=asked.environment.tokens)
    console = Console(stderr=True, highlight=False, markup=False)
    try:
        with download_progress(console) as bar:
            voice = FetchOutput(lambda sentence: bar.print(shown(sentence)), bar.move)
            fetched = fetch(
                place, requests_from(config), hub_of, voice, update=asked.options.update
            )
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        return 1
    views = overview(place.models, place.state, now=place.now)
    total = sum(view.size_bytes for view in views) / 1e9
    brought = f"{fetched} files fetched" if fetched else "everything was there"
    answer = Console(highlight=False, markup=False)
    answer.print(f"{place.models}: {brought}, {total:.2f} GB in all", soft_wrap=True)
    return 0
