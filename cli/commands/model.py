"""List registered models and versions, and promote them."""

import time
from shlex import quote
from typing import Annotated, Any

import typer

from cli.clients.all import Clients
from cli.clients.mlflow import Version
from cli.config import current
from cli.errors import UsageError
from cli.shell import completion
from cli.shell.groups import Command, group
from cli.shell.options import DryRun, Output, Timeout, Yes, resolve_format
from cli.tasks.environments import environment as find_environment
from cli.tasks.promote import await_serving, execute, prepare, resulting_plan
from cli.views import deployments
from cli.views.output import bold, confirm, emit, fields, say, table

app = group()


@app.callback()
def _model() -> None:
    """Versions and metrics; promote a version.

    Examples:
    schnitzel model list
    schnitzel model show angler
    schnitzel model promote angler@2 --to prod --wait
    """


@app.command("list", cls=Command)
def list_(output: Output = None) -> None:
    """List the registered models: newest version, aliases and stages.

    Examples:
    schnitzel model list
    schnitzel model list -o json
    """
    config = current()
    models = Clients(config).registry.models()
    found = [
        {
            "name": model["name"],
            "latest": _latest(model),
            "aliases": {each["alias"]: str(each["version"]) for each in model.get("aliases", [])},
            "stages": {
                each["current_stage"]: each["version"]
                for each in model.get("latest_versions", [])
                if each.get("current_stage") not in (None, "None", "Archived")
            },
            "description": model.get("description", ""),
        }
        for model in models
    ]
    if not found:
        say("no model is registered; train one with: schnitzel train PROJECT")
    emit(
        {"models": found},
        resolve_format(output, config),
        lambda: (
            table(
                ("MODEL", "LATEST", "ALIASES", "STAGES"),
                [
                    (
                        each["name"],
                        each["latest"],
                        _listed(each["aliases"]),
                        _listed(each["stages"]),
                    )
                    for each in found
                ],
            )
            if found
            else ""
        ),
    )


@app.command(cls=Command)
def show(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]",
            help="A model or a version",
            autocompletion=completion.versions,
        ),
    ],
    output: Output = None,
) -> None:
    """Show a model's versions, or one version with metrics and lineage.

    A version is its number, an alias, or latest.

    Examples:
    schnitzel model show angler
    schnitzel model show angler@2
    schnitzel model show angler@champion -o json
    """
    config = current()
    registry = Clients(config).registry
    name, _, which = model.rpartition("@")
    if name:
        version = registry.version(name, which)
        run = registry.run(version["run_id"]) if version.get("run_id") else None
        data = {**_plain(version), "run": run}
        emit(data, resolve_format(output, config), lambda: _version(data))
        return
    versions = [_plain(each) for each in registry.versions(model)]
    emit(
        {"model": model, "versions": versions},
        resolve_format(output, config),
        lambda: table(
            ("VERSION", "STAGE", "ALIASES", "STATUS", "CREATED", "RUN"),
            [
                (
                    each["version"],
                    each["stage"] or "-",
                    ", ".join(each["aliases"]),
                    each["status"],
                    f"{each['age']} ago",
                    each["run_id"],
                )
                for each in versions
            ],
        ),
    )


@app.command(cls=Command)
def promote(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME@VERSION", help="As in angler@2", autocompletion=completion.versions
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="ENV",
            help="An environment, or its alias or stage",
            autocompletion=completion.environments,
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the version serves")
    ] = False,
    timeout: Timeout = 600,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Promote a version: move the alias or stage, and print the resulting plan.

    Other versions in the same stage are archived.

    Examples:
    schnitzel model promote angler@2 --to staging
    schnitzel model promote angler@latest --to prod --wait --yes
    schnitzel model promote angler@1 --to prod --dry-run
    """
    config = current()
    form = resolve_format(output, config)
    clients = Clients(config)
    name, _, which = model.rpartition("@")
    if not name:
        latest = quote(f"{model}@latest")
        raise UsageError(f"{model!r} names no version", f"as in: {latest}, or with a number")
    version = clients.registry.version(name, which)
    environment = find_environment(clients, to)
    promotion = prepare(clients.registry.versions(name), version, environment)
    for line in promotion.lines():
        say(line)
    if dry_run or not promotion.pending:
        if not promotion.pending:
            say(f"{name} version {promotion.version} is promoted to {environment['name']} already")
        emit({"promotion": promotion.data(), "plan": None}, form, str)
        if dry_run:
            return
    else:
        confirm(f"Promote {name} version {promotion.version} to {environment['name']}?", yes=yes)
        execute(promotion, clients.registry, clients.subject)
        say(f"promoted {name} version {promotion.version} to {environment['name']}")
        plan = resulting_plan(clients, promotion, waits=wait)
        data = {"promotion": promotion.data(), "plan": plan}
        emit(data, form, lambda: deployments.plan(plan) if plan else "")
    if wait:
        await_serving(clients, promotion, timeout)


def _latest(model: dict[str, Any]) -> str | None:
    numbers = [int(each["version"]) for each in model.get("latest_versions", [])]
    return str(max(numbers)) if numbers else None


def _listed(pairs: dict[str, str]) -> str:
    return ", ".join(f"{name}={version}" for name, version in sorted(pairs.items()))


def _plain(version: Version) -> dict[str, Any]:
    """Project MLflow's version to what we show, under names that stay."""
    stage = version.get("current_stage")
    created = int(version.get("creation_timestamp") or 0) / 1000
    return {
        "name": version["name"],
        "version": version["version"],
        "stage": None if stage in (None, "None") else stage,
        "aliases": version["aliases"],
        "status": version.get("status", "READY"),
        "created": created,
        "age": deployments.duration(max(0.0, time.time() - created)),
        "run_id": version.get("run_id") or None,
        "source": version.get("source"),
        "tags": {tag["key"]: tag["value"] for tag in version.get("tags", [])},
    }


def _version(found: dict[str, Any]) -> str:
    run = found["run"] or {}
    parts = [
        bold(f"{found['name']} version {found['version']}"),
        fields(
            [
                ("stage", found["stage"]),
                ("aliases", ", ".join(found["aliases"])),
                ("status", found["status"]),
                ("created", f"{found['age']} ago"),
                ("run", found["run_id"]),
                ("source", found["source"]),
            ]
        ),
    ]
    for title, pairs in (
        ("metrics", run.get("metrics")),
        ("params", run.get("params")),
        ("tags", found["tags"]),
    ):
        if pairs:
            parts += ["", bold(title), fields(sorted(pairs.items()))]
    return "\n".join(parts)
