"""Run `python -m cli`, the same as `schnitzel`."""

from cli.main import main

main()
