"""Call Airflow's REST API v2: pipelines (DAGs), their runs, steps and logs.

Paths and shapes: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from cli.clients.airflow_log import lines
from cli.clients.http import Refused, Service, path_segment
from cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

Run = dict[str, Any]
Step = dict[str, Any]

ENDED = ("success", "failed")


class Pipelines:
    """Airflow's pipelines and runs, as one of its users sees them.

    Args:
        service: Airflow's API server.
        user: the user's name.
        password: the user's password; exchanged for a token at the first call.
    """

    def __init__(self, service: Service, user: str, password: str) -> None:
        self._anonymous = service
        self._login = {"username": user, "password": password}
        self._signed_in: Service | None = None

    @property
    def _service(self) -> Service:
        if self._signed_in is None:
            token = self._anonymous.post("/auth/token", self._login)["access_token"]
            self._signed_in = dataclasses.replace(
                self._anonymous, headers={"Authorization": f"Bearer {token}"}
            )
        return self._signed_in

    def pipeline(self, name: str) -> dict[str, Any] | None:
        """Return a pipeline, or None if Airflow has not read it (yet)."""
        try:
            found: dict[str, Any] = self._service.get(f"/api/v2/dags/{path_segment(name)}")
        except Refused as error:
            if error.status == 404:
                return None
            raise
        return found

    def import_errors(self) -> list[str]:
        """List Airflow's errors of reading pipelines, as its own stack traces."""
        errors = self._service.get("/api/v2/importErrors")["import_errors"]
        return [each["stack_trace"] for each in errors]

    def trigger(self, name: str, run_id: str, conf: dict[str, Any]) -> Run:
        """Start a run; a pipeline that was never unpaused is unpaused first.

        Idempotent: if a run of this id exists already, that run is returned.
        """
        pipeline = self.pipeline(name)
        if pipeline is not None and pipeline.get("is_paused"):
            self._service.send(
                "PATCH", f"/api/v2/dags/{path_segment(name)}", body={"is_paused": False}
            )
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        try:
            found: Run = self._service.post(f"/api/v2/dags/{path_segment(name)}/dagRuns", body)
        except Refused as error:
            if error.status == 409:
                return self.run(name, run_id)
            raise
        return found

    def runs(self, name: str | None, limit: int) -> list[Run]:
        """List the newest runs, of one pipeline or of all."""
        path = f"/api/v2/dags/{path_segment(name) if name else '~'}/dagRuns"
        try:
            found: list[Run] = self._service.get(path, {"order_by": "-run_after", "limit": limit})[
                "dag_runs"
            ]
        except Refused as error:
            if error.status == 404:
                return []
            raise
        return found

    def run(self, name: str, run_id: str) -> Run:
        """Return one run."""
        found: Run = self._service.get(_run_path(name, run_id))
        return found

    def steps(self, name: str, run_id: str) -> list[Step]:
        """List a run's steps in the order in which they run, each with state, try and duration."""
        found: list[Step] = self._service.get(f"{_run_path(name, run_id)}/taskInstances")[
            "task_instances"
        ]
        order = {task: place for place, task in enumerate(self._order(name))}
        return sorted(found, key=lambda step: order.get(step["task_id"], len(order)))

    def log(self, name: str, run_id: str, step: Step) -> Iterator[str]:
        """Yield the lines that a step's newest try has logged so far."""
        path = f"{_run_path(name, run_id)}/taskInstances/{path_segment(step['task_id'])}/logs"
        attempt = max(1, int(step.get("try_number") or 1))
        reply = self._service.send("GET", f"{path}/{attempt}", params={"full_content": "true"})
        yield from lines(reply.json().get("content", []))

    def _order(self, name: str) -> list[str]:
        """Sort a pipeline's tasks so that each comes after the tasks that it needs."""
        tasks = self._service.get(f"/api/v2/dags/{path_segment(name)}/tasks")["tasks"]
        after = {task["task_id"]: task.get("downstream_task_ids") or [] for task in tasks}
        order: list[str] = []
        seen: set[str] = set()

        def visit(task: str) -> None:
            if task not in seen:
                seen.add(task)
                for following in sorted(after.get(task, []), reverse=True):
                    visit(following)
                order.insert(0, task)

        for task in reversed(list(after)):
            visit(task)
        return order


def parameters(pairs: list[str]) -> dict[str, Any]:
    """Parse `key=value` pairs; a value that is JSON (a number, true, a list) is parsed as JSON.

    Raises:
        UsageError: a pair has no `=`.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"-p {pair}: not of the form key=value", "write: -p epochs=5")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _run_path(name: str, run_id: str) -> str:
    return f"/api/v2/dags/{path_segment(name)}/dagRuns/{path_segment(run_id)}"
