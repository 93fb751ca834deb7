"""`doctor`: what is wrong, and how to mend it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from neural_selfie.cli.options import config_option
from neural_selfie.doctor.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}


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
    width = max(len(finding.name) for finding in diagnosis.findings)
    for finding in diagnosis.findings:
        click.echo(_line(finding, width))
    wrong = sum(finding.state == "wrong" for finding in diagnosis.findings)
    warnings = sum(finding.state == "warning" for finding in diagnosis.findings)
    click.echo(f"{wrong} wrong, {warnings} to be warned of, {len(diagnosis.findings)} looked at.")
    return diagnosis.exit_code


def _line(finding: Finding, width: int) -> str:
    """Return one line for people; click takes the colours away where it is no terminal."""
    state = click.style(f"{finding.state:<7}", fg=_COLOURS[finding.state], bold=finding.state == "wrong")
    says = "\n".join(
        f"{'' if index == 0 else ' ' * (width + 10)}{each}" for index, each in enumerate(finding.says.splitlines())
    )
    mend = f" {click.style('Mend:', bold=True)} {finding.mend}" if finding.mend else ""
    return f"{state}  {finding.name:<{width}}  {says}{mend}"
