"""Fetch a model's own example, and send an input to the model.

The input goes to the deployment's public address, as every client's does. A prediction changes
nothing but costs the model work: the route that calls this module accepts requests of our own page
only.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import httpx

from deployer.registry.client import RegistryClient
from deployer.state.predictor import Predictor

EXAMPLE = "serving_input_example.json"  # MLflow writes it beside MLmodel, ready for /invocations
MOST_BYTES = 1024**2
SECONDS = 30.0
VERSION_HEADER = "x-schnitzel-model-version"


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer: HTTP status (0: no answer), body, answering version, and seconds."""

    status: int
    body: str
    version: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the answer is a prediction."""
        return self.status == 200


def example(rest: RegistryClient, predictor: Predictor | None) -> str:
    """Return a version's logged input example, ready to be POSTed; "" if it cannot be had.

    MLflow's own artifact endpoint serves it, which works with every store that MLflow can read.
    """
    if predictor is None:
        return ""
    version = predictor.version
    where = {"name": version.model, "version": str(version.number), "path": EXAMPLE}
    try:
        with httpx.Client(auth=rest.auth, timeout=5, trust_env=False) as client:
            found = client.get(f"{rest.url}/model-versions/get-artifact", params=where)
        if found.status_code != 200 or len(found.content) > MOST_BYTES:
            return ""
        return json.dumps(found.json(), ensure_ascii=False)
    except (httpx.HTTPError, ValueError):
        return ""


def ask(url: str, text: str) -> Answer:
    """Send an input to a deployment's address.

    Args:
        url: The deployment's URL, with a slash at its end.
        text: The JSON body for /invocations.
    """
    if len(text.encode()) > MOST_BYTES:
        return Answer(0, "This is more than this page sends; use: schnitzel predict --input FILE")
    try:
        json.loads(text)
    except ValueError as error:
        return Answer(0, f"This is no JSON: {error}")
    began = time.perf_counter()
    headers = {"content-type": "application/json"}
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            answer = client.post(f"{url}invocations", content=text.encode(), headers=headers)
    except httpx.HTTPError as error:
        return Answer(0, f"{url} does not answer ({type(error).__name__}).")
    took = time.perf_counter() - began
    version = answer.headers.get(VERSION_HEADER, "")
    return Answer(answer.status_code, _pretty(answer.text), version, took)


def _pretty(text: str) -> str:
    try:
        shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        shown = text
    return shown if len(shown) < 20_000 else f"{shown[:20_000]}\n... (cut)"
