"""Send a model's own input example to its predictor, and check the answer.

MLflow logs an input example beside a model (serving_input_example.json, ready to be POSTed to
/invocations) and the signature of the answer (in MLmodel). A model that cannot answer its own
example must not get a client's request. Every answer that MLflow's own scoring server gives counts:
also the answer to a chat, which is not under "predictions".
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from deployer.analysis import contract, signature
from deployer.errors import ExampleRefused

ANSWER_SECONDS: Final = 60.0
_PAUSE: Final = 0.2
_UNWRAPPED: Final = ("messages", "prompt", "input")
"""Keys of a body whose answer MLflow does not wrap (mlflow.pyfunc.utils.serving_data_parser)."""

_AGENTS: Final = ("agent/v1/chat", "agent/v2/chat", "agent/v1/responses")
"""The tasks that MLflow records for ChatModel, ChatAgent and ResponsesAgent, whose answers MLflow
types itself. MLflow declares the same signature for every model of a task, and that signature
requires fields (a chat's "id") that MLflow leaves out of answers."""

_STRINGS: Final = (
    "Name the columns with strings where the model is trained and logged: "
    "frame.columns = [str(name) for name in frame.columns]"
)


@dataclass(frozen=True)
class ExampleResult:
    """The result of sending a model its own example.

    Attributes:
        ok: True if the answer fits, or the model has no example.
        reason: "ExampleRefused", or "" if ok.
        message: one sentence; a note where ok.
        hint: the next step.
        transient: True if the predictor did not answer at all, which may pass.
    """

    ok: bool
    reason: str = ""
    message: str = ""
    hint: str = ""
    transient: bool = False


Post = Callable[[bytes, float], tuple[int, bytes]]
"""Sends a body to /invocations with a timeout in seconds; returns the answer's status and content.

Raises httpx.HTTPError.
"""


def ask_successor(
    post: str | Post, artifact: Path, before: Path, timeout: float = ANSWER_SECONDS
) -> ExampleResult:
    """Check that a model fits those who rely on another's signature, and send it its example.

    Args:
        post: as for `ask`.
        artifact: the folder of the model.
        before: the folder of the model in whose place it comes.
        timeout: as for `ask`.
    """
    try:
        fault = contract.fault(_description(before), _description(artifact))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return _refused(f"The signature cannot be read: {error}.")
    return _breaks(fault) if fault else ask(post, artifact, timeout)


def ask(post: str | Post, artifact: Path, timeout: float = ANSWER_SECONDS) -> ExampleResult:
    """Send the model's logged input example and check the answer against the signature.

    Args:
        post: the predictor's own address, such as "http://127.0.0.1:18001", or a function that
            sends to it.
        artifact: the folder with MLmodel.
        timeout: seconds for all attempts; a broken connection is retried within them.
    """
    if isinstance(post, str):
        post = partial(_post, post)
    try:
        description = _description(artifact)
        body = _body(artifact, description)
        outputs = _outputs(description)
        unwrapped = _is_unwrapped(body)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return _refused(f"The logged input example cannot be read: {error}.")
    if body is None:
        return ExampleResult(True, message="The model was logged without an input example to ask.")
    try:
        status, content = post(body, timeout)
    except httpx.HTTPError as error:
        return _refused(
            f"The model did not answer its own input example within {timeout:g} s: "
            f"{type(error).__name__}.",
            transient=True,
        )
    if status != 200:
        transient = status in (429, 502, 503, 504)
        return _refused(
            f"The model answers {status} to its own input example: {_error_text(content)}",
            transient=transient,
            columns="" if transient else _columns_without_names(body),
        )
    try:
        answer = json.loads(content)
        predictions = answer if unwrapped else answer["predictions"]
    except (ValueError, TypeError, KeyError):
        what = "is not JSON" if unwrapped else "holds no predictions"
        return _refused(f"The model's answer to its own input example {what}.")
    if _is_agent(description):
        return ExampleResult(True)
    if outputs and (fault := signature.mismatch(outputs, predictions)):
        return _refused(f"The model's answer to its own example breaks its signature: {fault}.")
    return ExampleResult(True, message="" if outputs else "The model declares no outputs to check.")


def _breaks(fault: str) -> ExampleResult:
    return ExampleResult(
        ok=False,
        reason=ExampleRefused.reason,
        message=f"The version does not fit those who use its queue: {fault}.",
        hint="Promote a version with the signature that they rely on; or, once they are ready for "
        "another one, set queue.signature to any in its serving.yaml.",
    )


def _refused(message: str, *, transient: bool = False, columns: str = "") -> ExampleResult:
    """Build a refusal; `columns` lists the example's columns whose name is not a string."""
    named = f" Columns of its example are named by no string: {columns}." if columns else ""
    fits = "Log the model with an input_example and a signature that fit it"
    return ExampleResult(
        ok=False,
        reason=ExampleRefused.reason,
        message=message + named,
        hint=f"{_STRINGS if columns else fits}; or set rollout.example to skip in its "
        "serving.yaml.",
        transient=transient,
    )


def _is_unwrapped(body: bytes | None) -> bool:
    asked = json.loads(body or b"null")
    return isinstance(asked, Mapping) and any(key in asked for key in _UNWRAPPED)


def _is_agent(description: Mapping[str, Any]) -> bool:
    metadata = description.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("task") in _AGENTS


def _columns_without_names(body: bytes) -> str:
    """List the first columns of a DataFrame whose names JSON cannot have as keys; "" for none.

    MLflow leaves out the names 0, 1, 2 of an example, so that the POSTed body lacks them.
    """
    asked = json.loads(body)
    frame = asked.get("dataframe_split") if isinstance(asked, Mapping) else None
    if not isinstance(frame, Mapping):
        return ""
    rows = frame.get("data") or [[]]
    columns = frame.get("columns") or range(len(rows[0]) if isinstance(rows[0], list) else 0)
    names = [json.dumps(name) for name in columns if not isinstance(name, str)]
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _post(url: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    deadline = time.monotonic() + timeout
    headers = {"content-type": "application/json"}
    while True:
        left = deadline - time.monotonic()
        try:
            # A loopback address: a proxy from the environment variables must not come between.
            with httpx.Client(timeout=max(left, 0.1), trust_env=False) as client:
                place = f"{url.rstrip('/')}/invocations"
                response = client.post(place, content=body, headers=headers)
                return response.status_code, response.content
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
            if left <= _PAUSE:
                raise
            time.sleep(_PAUSE)


def _description(artifact: Path) -> Mapping[str, Any]:
    content = yaml.safe_load((artifact / "MLmodel").read_text(encoding="utf-8"))
    if not isinstance(content, Mapping):
        raise ValueError("MLmodel is not a mapping")  # noqa: TRY004 - of the file, not of a caller
    return content


def _outputs(description: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    declared = (description.get("signature") or {}).get("outputs")
    specs = json.loads(declared) if isinstance(declared, str) else declared
    if not specs:
        return []
    if not isinstance(specs, list) or not all(isinstance(spec, Mapping) for spec in specs):
        raise ValueError("the signature in MLmodel is not MLflow's")
    return specs


def _body(artifact: Path, description: Mapping[str, Any]) -> bytes | None:
    """Return the example as the body to POST; None if there is none that can be POSTed."""
    info = description.get("saved_input_example_info") or {}
    ready = _inside(artifact, info.get("serving_input_path") or "serving_input_example.json")
    if ready.is_file():
        return ready.read_bytes()
    # Some versions of MLflow logged input_example.json alone; the conversion is that of
    # mlflow.models.utils._Example.
    plain = _inside(artifact, info.get("artifact_path") or "input_example.json")
    if not plain.is_file() or str(info.get("type", "")).startswith("sparse_matrix"):
        return None
    data = json.loads(plain.read_text(encoding="utf-8"))
    body: dict[str, Any] = {}
    if info.get("params") and isinstance(data, Mapping):
        data, body = data["inputs"], {"params": data["params"]}
    if info.get("type") == "dataframe":
        body["dataframe_split"] = data
    elif isinstance(data, Mapping) and data.keys() == {"inputs"}:
        body |= data
    else:
        body["inputs"] = data
    return json.dumps(body).encode()


def _inside(artifact: Path, name: str) -> Path:
    path = artifact / name
    if not path.resolve().is_relative_to(artifact.resolve()):
        raise ValueError(f"MLmodel names a file outside of the model: {name!r}")
    return path


def _error_text(body: bytes) -> str:
    """Shorten the body of an error answer to one line."""
    try:
        content = json.loads(body)
        text = str(content.get("error") or content.get("message") or content)
    except (ValueError, AttributeError):
        text = body.decode(errors="replace")
    line = " ".join(text.split())
    return f"{line[:300]}..." if len(line) > 300 else line or "no message"
