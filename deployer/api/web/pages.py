"""Serve the web pages: the overview, the page of a deployment, and their live updates.

The pages are read-only, so that no forged request can change anything. An open page requests its
live part every two seconds with the digest of the part it shows; the answer is 204 if that digest
is still current, and the page stays as it is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deployer import __version__, hints
from deployer.api import queues as queue_views, views
from deployer.api.guard import LARGEST
from deployer.api.schema import queues, rollouts
from deployer.api.web import plots, queue_plots, stages, tryit
from deployer.controller.queues import queues_of
from deployer.errors import NotFound
from deployer.operator.queries import Queries
from deployer.operator.queues import QueueQueries
from deployer.status.verdict import State, Status

OVERVIEW = "overview"
MOST_ROWS = 200
EVENTS = 30
LOG_LINES = 100
STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STOP_POLLING = 286  # htmx's own status: swap in the answer and stop polling


def add(app: FastAPI, queries: Queries, queues: QueueQueries) -> None:
    """Add the routes of the pages; none of them is part of the API's schema."""
    pages = Pages(queries, queues)
    for path, page in (
        ("/", pages.overview),
        ("/deployments/{deployment}", pages.deployment),
        ("/live/overview", pages.overview_live),
        ("/live/deployments/{deployment}", pages.deployment_live),
        ("/live/deployments/{deployment}/log", pages.log),
        ("/live/deployments/{deployment}/try", pages.try_it),
        ("/static/{name}", pages.static),
    ):
        app.get(path, include_in_schema=False)(page)
    app.post("/live/deployments/{deployment}/try", include_in_schema=False)(pages.ask)


class Pages:
    """The web pages of a Deployer."""

    def __init__(self, queries: Queries, queues: QueueQueries) -> None:
        self._queries = queries
        self._queues = queues
        self._files = {
            path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _TYPES
        }
        stamp = hashlib.sha256(b"".join(v for _, v in sorted(self._files.items()))).hexdigest()
        self._templates = Environment(
            loader=PackageLoader("deployer.api.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["path"] = _path
        self._templates.globals |= {
            "hint": hints.command,
            "version": __version__,
            "stamp": stamp[:12],
        }

    def overview(self, q: str = "", environment: str = "", state: str = "") -> HTMLResponse:
        """Render the list of deployments."""
        values = self._list(q, environment, state)
        live, _ = self._live(OVERVIEW, values)
        return self._page("overview.html", values | {"live": live})

    def overview_live(
        self, q: str = "", environment: str = "", state: str = "", seen: str = ""
    ) -> Response:
        """Render the live part of the list; a new search also changes the page's address."""
        answer = self._update(OVERVIEW, self._list(q, environment, state), seen)
        chosen = {"q": q, "environment": environment, "state": state}
        if not seen:
            query = urlencode({name: value for name, value in chosen.items() if value})
            answer.headers["HX-Replace-Url"] = f"/?{query}" if query else "/"
        return answer

    def deployment(self, deployment: str) -> HTMLResponse:
        """Render the page of a deployment."""
        try:
            values = self._one(deployment)
        except NotFound as error:
            return self._page("gone.html", {"id": deployment, "message": error.message}, 404)
        live, _ = self._live(f"deployments/{deployment}", values)
        return self._page("deployment.html", values | {"live": live})

    def deployment_live(self, deployment: str, seen: str = "") -> Response:
        """Render the live part of a deployment's page."""
        try:
            return self._update(f"deployments/{deployment}", self._one(deployment), seen)
        except NotFound as error:
            values = {"id": deployment, "message": error.message}
            return self._page("gone_live.html", values, STOP_POLLING)

    def try_it(self, deployment: str) -> HTMLResponse:
        """Render the prediction form, filled with the model's own example."""
        status = self._queries.status(deployment)
        example = tryit.example(self._queries.mlflow, status.record.champion)
        return self._page(
            "try.html",
            {"each": views.deployment(status, self._queries.settings), "example": example},
        )

    def log(self, deployment: str) -> HTMLResponse:
        """Render the last lines of the model server's log."""
        try:
            name, text = self._queries.log(deployment, LOG_LINES)
        except NotFound as error:
            name, text = "", error.message
        return self._page("log.html", {"predictor": name, "text": text})

    async def ask(self, deployment: str, request: Request) -> HTMLResponse:
        """Send the form's input to the model.

        A browser sends the required header to another site only if that site agreed to it
        beforehand, which this site does not.
        """
        if request.headers.get("hx-request") != "true":
            return self._page("log.html", {"predictor": "", "text": "Use the page."}, 403)
        size = int(request.headers.get("content-length") or 0)
        if size > LARGEST:
            answer = tryit.Answer(0, "This is more than this page sends.")
        else:
            form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
            status = self._queries.status(deployment)
            answer = await run_in_threadpool(tryit.ask, status.url, form.get("input", ""))
        return self._page("answer.html", {"answer": answer})

    def static(self, name: str) -> Response:
        """Serve a static file, whose address changes with its content."""
        if name not in self._files:
            raise NotFound(f"There is no file {name!r}.")
        kind = _TYPES[Path(name).suffix]
        headers = _HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._files[name], media_type=kind, headers=headers)

    def _list(self, q: str, environment: str, state: str) -> dict[str, Any]:
        everything = self._queries.statuses()
        environments = list(self._queries.settings.environments)
        terms = q.lower().split()
        found = [
            status
            for status in everything
            if environment in ("", status.record.environment)
            and state in ("", str(status.verdict.state), status.sync)
            and all(term in _searched(status) for term in terms)
        ]
        counts = Counter(str(status.verdict.state) for status in everything)
        return self._frame() | {
            "rows": [
                views.deployment(status, self._queries.settings) for status in found[:MOST_ROWS]
            ],
            "found": len(found),
            "total": len(everything),
            "counts": {str(each): counts[str(each)] for each in State if counts[str(each)]},
            "environments": environments,
            "promote_to": "prod" if "prod" in environments else environments[-1],
            "states": [str(each) for each in State] + ["OutOfSync", "Paused", "Frozen"],
            "chosen": {"q": q, "environment": environment, "state": state},
        }

    def _one(self, deployment: str) -> dict[str, Any]:
        status = self._queries.status(deployment)
        shown = views.deployment(status, self._queries.settings)
        history = self._queries.history(deployment, EVENTS)
        rollout = shown["rollout"]
        queue = self._queue(status)
        return self._frame() | {
            "each": shown,
            "plan": views.outline(status),
            "events": views.events(history)[::-1],
            "journey": stages.of(shown),
            "plots": self._plots(deployment, rollout) if rollout else [],
            "bands": plots.bands(rollout["judgement"]) if rollout else [],
            "width": plots.WIDTH,
            "height": plots.HEIGHT,
            "queue": queue,
            "queue_plots": queue_plots.plots(queue["history"]) if queue else [],
        }

    def _plots(self, deployment: str, rollout: rollouts.Rollout) -> list[plots.Plot]:
        subject = rollout["candidate"]
        return plots.plots(self._queries.windows(deployment, subject, plots.MOST))

    def _queue(self, status: Status) -> queues.QueueDetail | None:
        if not queues_of(status.record):
            return None
        deployment = status.record.id
        return queue_views.detail(self._queues.report(deployment), self._queues.history(deployment))

    def _frame(self) -> dict[str, Any]:
        report = self._queries.registry()
        return {
            "registry": views.registry(report),
            "held": report.health.held or {},
            "depth": self._queries.queue_depth(),
            "platform": self._queries.settings.platform_id,
        }

    def _update(self, path: str, values: Mapping[str, Any], seen: str) -> Response:
        live, digest = self._live(path, values)
        if digest == seen:
            return Response(status_code=204, headers=_HEADERS)
        return HTMLResponse(live, headers=_HEADERS)

    def _live(self, path: str, values: Mapping[str, Any]) -> tuple[Markup, str]:
        """Render the live part of a page, and the digest of its content."""
        kind = path.partition("/")[0]
        inner = self._render(f"{kind}_live.html", values)
        digest = hashlib.sha256(inner.encode()).hexdigest()[:16]
        frame = {"path": path, "seen": digest, "inner": inner}
        return self._render("live.html", frame), digest

    def _page(self, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        return HTMLResponse(self._render(template, values), status, _HEADERS)

    def _render(self, template: str, values: Mapping[str, Any]) -> Markup:
        # Templates escape every value; their output is HTML.
        return Markup(self._templates.get_template(template).render(values))  # noqa: S704


def _searched(status: Status) -> str:
    record, verdict = status.record, status.verdict
    return f"{record.model}@{record.environment} {verdict.state} {verdict.reason}".lower()


def _path(url: str) -> str:
    """The path of an address, which identifies the deployment; the address if it has none."""
    return urlsplit(url).path or url
