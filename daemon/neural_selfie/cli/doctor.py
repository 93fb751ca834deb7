"""`doctor`: what is wrong, and how to mend it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from neural_selfie.cli.options import config_option
from neural_selfie.doctor.finding import Finding

_STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(config: Path | None, *, as_json: bool) -> int:
    """Look at everything that the daemon needs, and say what is wrong and how to mend it; exit 1 if something is."""
    from neural_selfie.doctor.examining import examine  # noqa: PLC0415 - `--help` needs none of it

    if not as_json and sys.stderr.isatty():
        click.echo("looking ...\r", err=True, nl=False)
    diagnosis = examine(config)
    if as_json:
        view = {"ok": diagnosis.ok, "checks": [asdict(finding) for finding in diagnosis.findings]}
        print(json.dumps(view, indent=1, ensure_ascii=False))
        return diagnosis.exit_code
    if sys.stdout.isatty():
        _show(diagnosis.findings)
    else:
        width = max(len(finding.name) for finding in diagnosis.findings)
        for finding in diagnosis.findings:
            mend = f" Mend: {finding.mend}" if finding.mend else ""
            print(f"{finding.state:<7}  {finding.name:<{width}}  {finding.says}{mend}")
    states = [finding.state for finding in diagnosis.findings]
    print(f"{len(states)} looked at: {states.count('wrong')} wrong, {states.count('warning')} to be warned of.")
    return diagnosis.exit_code


def _show(findings: Sequence[Finding]) -> None:
    """Print a table as wide as the terminal, in colours."""
    from rich.console import Console  # noqa: PLC0415 - rich is needed on a terminal only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        says = Text(finding.says)
        if finding.mend:
            says.append("\nMend: ", style="bold").append(finding.mend)
        table.add_row(Text(finding.state, style=_STYLES[finding.state]), Text(finding.name), says)
    Console(highlight=False).print(table)
