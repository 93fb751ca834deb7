"""`serve`: the page of the outbox, live."""

from pathlib import Path

import click

from neural_selfie import config as configuration
from neural_selfie.cli.options import config_option
from neural_selfie.errors import UsageError


@click.command()
@config_option
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8017, show_default=True, help="0: any that is free.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="Another name that this machine goes by.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Ask everybody for the token in FILE. Without: beyond this machine, for the one in the state folder.",
)
def serve(config: Path | None, host: str, port: int, names: tuple[str, ...], token_file: Path | None) -> int:
    """Show the page live: progress, picks and "again, with these values" at once. Runs beside the daemon."""
    try:
        from neural_selfie.serving import server  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("neural_selfie"):
            raise
        raise UsageError(
            f"The live page needs {error.name}, which is not installed: pip install 'neural-selfie[web]'"
        ) from None
    wishes = server.Wishes(host=host, port=port, names=names, token_file=token_file)
    return server.run(configuration.load(config), wishes, lambda line: print(line, flush=True))
