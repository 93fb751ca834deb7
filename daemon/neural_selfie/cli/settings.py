"""`config check|show|schema` and `presets`: what the configuration says."""

import json
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


@click.command()
@config_option
def presets(config: Path | None) -> None:
    """List the presets: engine, size, styles, and the variants of a sweep."""
    settings = configuration.load(config).settings
    for name, preset in settings.presets.items():
        styles = " + ".join(Path(share.image).name for share in preset.style)
        count = len(variants(preset.sweep))
        sweep = f", {count} variants" if count > 1 else ""
        default = " (default)" if name in settings.default_names else ""
        print(f"{name}{default}: {preset.engine}, {preset.size} px, {styles}{sweep}")
