"""`run`: the daemon."""

import json
import sys
from pathlib import Path

import click

from neural_selfie import config as configuration
from neural_selfie import logs, survey
from neural_selfie.cli.options import config_option
from neural_selfie.files import names


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Paint what is in the inbox, then exit: 0 all done, 1 some failed.")
@click.option("--dry-run", is_flag=True, help="Say what would be painted, and change nothing.")
def run(config: Path | None, *, once: bool, dry_run: bool) -> int:
    """Watch the inbox and paint every photo that is dropped there."""
    loaded = configuration.load(config)
    if dry_run:
        return _show_survey(loaded)
    from neural_selfie import service  # noqa: PLC0415 - keeps --dry-run and --help light

    logs.configure(loaded.settings.log)
    if not (once and sys.stderr.isatty()):
        return service.run(loaded, once=once)
    from neural_selfie.cli.bars import Bars  # noqa: PLC0415 - rich is needed on a terminal only

    with Bars() as bars:
        return service.run(loaded, once=once, watcher=bars.show)


def _show_survey(loaded: configuration.Loaded) -> int:
    findings = survey.of(loaded)
    for finding in findings:
        shown = names.shown(finding.dropped)
        if finding.refusal is not None:
            print(f"{shown}\n    cannot be painted: {finding.refusal}")
        else:
            print(shown)
            for plan in finding.plans:
                variant = f" {json.dumps(dict(plan.variant))}" if plan.variant else ""
                print(f"    {plan.preset}{variant} ({plan.engine}, {plan.recipe['size']} px)")
    pictures = sum(len(finding.plans) for finding in findings)
    refused = sum(finding.refusal is not None for finding in findings)
    print(f"{len(findings)} files: {pictures} pictures to paint, {refused} files refused. Nothing was changed.")
    return 0
