"""`config check|show|schema` and `presets`: what the configuration says."""

import json
import sys
from pathlib import Path

import click

from neural_selfie import config as configuration
from neural_selfie.cli.options import config_option
from neural_selfie.config.presets import variants
from neural_selfie.engine.recipe import NETWORKED


@click.group()
def config() -> None:
    """Check or show the configuration."""


@config.command()
@config_option
def check(config: Path | None) -> int:
    """Check file, environment, folders and style images; exit 78 when something is wrong."""
    from neural_selfie import models, workers  # noqa: PLC0415 - style images are decoded here
    from neural_selfie.config import catalogue, layout  # noqa: PLC0415 - style images are decoded here

    loaded = configuration.load(config)
    layout.refuse_overlaps(loaded.settings)
    workers.devices(loaded.settings)
    catalogue.open_catalogue(loaded)
    shelf, weights = layout.StateFolder(loaded.settings.state).models, catalogue.weights_of(loaded)
    for name, preset in loaded.settings.presets.items():
        if preset.engine in NETWORKED and models.look_for(weights.get(name), shelf).signature is None:
            path = models.choose(weights.get(name), shelf)
            print(f"warning: presets.{name}: {models.missing(path, weights.get(name), shelf)}")
    print(f"{loaded.path or 'defaults'}: in order; {len(loaded.settings.presets)} presets.")
    return 0


@config.command()
@config_option
def show(config: Path | None) -> None:
    """Print the whole configuration, defaults and environment included."""
    print(configuration.as_yaml(configuration.load(config).settings), end="")


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    print(json.dumps(configuration.schema(), indent=1))


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def presets(context: click.Context, config: Path | None) -> None:
    """List the presets: engine, size, styles, and the variants of a sweep."""
    if context.invoked_subcommand is not None:
        return
    settings = configuration.load(config).settings
    for name, preset in settings.presets.items():
        styles = " + ".join(Path(share.image).name for share in preset.style)
        count = len(variants(preset.sweep))
        sweep = f", {count} variants" if count > 1 else ""
        default = " (default)" if name in settings.default_names else ""
        print(f"{name}{default}: {preset.engine}, {preset.size} px, {styles}{sweep}")


@presets.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What the new preset is called.")
@click.option("--write", is_flag=True, help="Write it into the configuration file; without, it is printed only.")
@config_option
def promote(record: Path, name: str, *, write: bool, config: Path | None) -> None:
    """Make the recipe of RECORD (a record, or a picture, which carries its own) a preset."""
    from neural_selfie import promoting, reproducing  # noqa: PLC0415 - only this command needs them

    loaded = configuration.load(config)
    text = promoting.promoted(reproducing.read(record), name, loaded)
    print(text, end="")
    if write:
        path = promoting.write(text, loaded)
        print(f"# written to {path}; start the daemon again to paint with it", file=sys.stderr)
