"""`gallery`: bring the page up to date from the records alone."""

from pathlib import Path

import click

from neural_selfie import config as configuration
from neural_selfie import gallery as page
from neural_selfie.cli.options import config_option
from neural_selfie.config import layout
from neural_selfie.errors import UsageError


@click.command()
@config_option
def gallery(config: Path | None) -> int:
    """Rebuild the page of the outbox from its records, and say where it is."""
    settings = configuration.load(config).settings
    outbox = settings.outbox_folder
    if not outbox.is_dir():
        raise UsageError(f"There is no outbox at {outbox} yet: nothing was painted.")
    count = page.build(outbox, styles=layout.StateFolder(settings.state).styles)
    print(f"{count} pictures: {(outbox / 'index.html').as_uri()}")
    return 0
