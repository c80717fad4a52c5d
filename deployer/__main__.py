"""Run a command of the Deployer: `python -m deployer COMMAND`."""

import argparse
import sys

from deployer.config import json_schema, settings
from deployer.errors import SchnitzelError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns 0 on success, 1 on failure, 2 for a wrong command line or settings."""
    parser = argparse.ArgumentParser(prog="python -m deployer")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("settings", help="show the settings and where each comes from")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    commands.add_parser("run", help="reconcile until stopped")
    schema = commands.add_parser("schema", help="print a JSON Schema")
    schema.add_argument("name", choices=sorted(json_schema.SCHEMAS))
    chosen = parser.parse_args(arguments)
    if chosen.command == "schema":
        sys.stdout.write(json_schema.render(chosen.name))
        return 0
    if chosen.command == "settings":
        return settings.main_settings(as_json=chosen.json)
    return _run()


def _run() -> int:
    from deployer import service  # noqa: PLC0415 - the other commands answer sooner without it

    try:
        return service.run(settings.load())
    except SchnitzelError as error:
        sys.stderr.write(f"error: {error.message}\n\nhint: {error.hint}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
