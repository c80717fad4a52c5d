"""List the commands: names, panels, summaries and the modules that hold them.

Static on purpose: `schnitzel --help` prints from here and imports no command. A test compares the
summaries with the commands' own docstrings.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A command, or a group of commands when it has some."""

    name: str
    module: str
    summary: str
    commands: tuple[str, ...] = ()


PANELS: dict[str, tuple[Entry, ...]] = {
    "START": (
        Entry("up", "cli.commands.up", "Start the local platform and wait until it is healthy"),
        Entry("down", "cli.commands.down", "Stop the local platform; data stays"),
        Entry(
            "status", "cli.commands.status", "The whole platform on one screen, with the next step"
        ),
        Entry(
            "doctor",
            "cli.commands.doctor",
            "Find what is wrong and print the command that fixes it",
        ),
        Entry(
            "open", "cli.commands.open", "Open the overview, Airflow, MLflow or a model's endpoint"
        ),
    ),
    "DAILY": (
        Entry("train", "cli.commands.train", "Run a project's training pipeline and follow it"),
        Entry(
            "predict", "cli.commands.predict", "Send input to a served model and print its answer"
        ),
    ),
    "PROJECTS, RUNS AND MODELS": (
        Entry(
            "project",
            "cli.commands.project",
            "Register project folders and check them",
            ("add", "remove", "list", "check"),
        ),
        Entry("run", "cli.commands.run", "Inspect training runs", ("list", "show", "logs")),
        Entry(
            "model",
            "cli.commands.model",
            "Versions and metrics; promote a version",
            ("list", "show", "promote"),
        ),
    ),
    "DEPLOY": (
        Entry(
            "deploy",
            "cli.commands.deploy",
            "What is served and why; plan, diff, apply, pause",
            (
                "list",
                "status",
                "wait",
                "plan",
                "diff",
                "tree",
                "apply",
                "history",
                "logs",
                "pause",
                "resume",
                "rollout",
                "advance",
                "promote-now",
                "abort",
                "evidence",
            ),
        ),
        Entry(
            "queue",
            "cli.commands.queue",
            "Queues that models answer: depths, messages, dead letters",
            ("list", "show", "send", "peek", "dead", "replay", "create"),
        ),
        Entry("env", "cli.commands.env", "The environments models are promoted to", ("list",)),
        Entry(
            "cluster", "cli.commands.cluster", "The clusters that models are served on", ("check",)
        ),
    ),
    "OPERATE": (
        Entry(
            "registry",
            "cli.commands.registry",
            "The health of the registry; accept a changed one",
            ("show", "accept"),
        ),
        Entry(
            "platform",
            "cli.commands.platform",
            "The platform's own version: upgrade in batches, halt, resume",
            ("upgrade",),
        ),
        Entry(
            "image",
            "cli.commands.image",
            "Python environments built for models; remove unused ones",
            ("list", "collect"),
        ),
        Entry("config", "cli.commands.config", "Settings and where each came from", ("show",)),
        Entry("help", "cli.commands.help", "Read about a command or a topic such as exit-codes"),
    ),
}

ENTRIES: dict[str, Entry] = {entry.name: entry for panel in PANELS.values() for entry in panel}
