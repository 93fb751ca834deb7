"""Run the real daemon with a painter of the zoo: `daemon_with.py PAINTER CONFIG [--once]`, in a process of its own."""

import sys
from pathlib import Path

import engines
from neural_selfie import config, logs, service
from neural_selfie.errors import SelfieError


def main() -> int:
    """Run until stopped or drained."""
    loaded = config.load(Path(sys.argv[2]))
    logs.configure(loaded.settings.log)
    try:
        return service.run(loaded, once="--once" in sys.argv, painter=engines.painter(sys.argv[1]))
    except SelfieError as error:  # as the command line does
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
