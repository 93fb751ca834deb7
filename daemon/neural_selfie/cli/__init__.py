"""The commands. This room parses arguments, prints, and ends with an exit code; the work is done elsewhere.

Every command's module is imported only when that command runs, so that `status` answers at once and nothing but
painting loads torch. Exit codes: 0 done, 1 some jobs failed, 64 usage, 77 no permission, 78 configuration.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from neural_selfie import __version__
from neural_selfie.errors import PermissionDeniedError, SelfieError, UsageError

# No plugin of pydantic is used; looking for some takes 20 ms of every command.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")

COMMANDS = {
    "run": "daemon",
    "status": "queue",
    "retry": "queue",
    "cancel": "queue",
    "stylize": "painting",
    "demo": "demo",
    "reproduce": "painting",
    "presets": "settings",
    "config": "settings",
    "models": "models",
    "doctor": "doctor",
    "gallery": "outbox",
    "serve": "serve",
}


class _Commands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"neural_selfie.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="neural-selfie")
def group() -> None:
    """Drop a photo into a shared folder; paintings of it appear in another."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. A person's mistake ends in a plain sentence and its exit code, not a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result: Any = group.main(args=arguments, prog_name="neural-selfie", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code if isinstance(error, click.UsageError) else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SelfieError as error:
        click.echo(f"neural-selfie: {error}", err=True)
        return error.exit_code
    except PermissionError as error:
        click.echo(
            f"neural-selfie: {error.filename}: {error.strerror}. Run it as the user the files belong to.", err=True
        )
        return PermissionDeniedError.exit_code
    except BrokenPipeError:  # `neural-selfie status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0
