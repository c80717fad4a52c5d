"""Find what the containers of a graph's implementation are made of.

`predictor_servers` is the operator's own config map entry: it takes any name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TENSORFLOW = "TENSORFLOW_SERVER"
PROXIED = "tfserving"

UNKNOWN = "UNKNOWN_IMPLEMENTATION"

OTHERS = ("HUGGINGFACE", "MLFLOW", "SKLEARN", "TEMPO", "TRITON", "XGBOOST")
"""Servers that the release's config knows as well. Nothing is made of them here."""

DEFAULTS: dict[str, Any] = {
    TENSORFLOW: {
        "protocols": {
            "tensorflow": {"image": "tensorflow/serving", "defaultImageVersion": "2.1.0"},
            "seldon": {"image": "seldonio/tfserving-proxy", "defaultImageVersion": "1.17.1"},
        }
    }
} | {f"{name}_SERVER": {"protocols": {}} for name in OTHERS}

CUSTOM = ("", UNKNOWN)


def configured(over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the release's config with entries set over it; None takes one away."""
    return {name: value for name, value in (DEFAULTS | over).items() if value is not None}


class NoServer(Exception):  # noqa: N818 - named for what is the matter
    """The config has no such server; the message is the operator's."""


def is_custom(graph: Mapping[str, Any]) -> bool:
    """Whether the user's own container serves."""
    return graph.get("implementation", "") in CUSTOM


def image_of(config: Mapping[str, Any], implementation: str, protocol: str) -> str:
    """The image for a server and protocol; "" where the protocol has none. Raises NoServer."""
    if implementation not in config:
        raise NoServer(f"Failed to get server config for {implementation}")
    known = config[implementation].get("protocols", {}).get(protocol, {})
    return f"{known['image']}:{known['defaultImageVersion']}" if known else ""


def tensorflow_args(http: int, grpc: int, name: str) -> list[str]:
    """TensorFlow Serving's arguments, exactly."""
    return [
        f"--port={grpc}",
        f"--rest_api_port={http}",
        f"--model_name={name}",
        "--model_base_path=/mnt/models",
    ]


def parameters(
    graph: Mapping[str, Any], implementation: str, protocol: str
) -> list[dict[str, str]]:
    """PREDICTIVE_UNIT_PARAMETERS of the container that is named like the graph."""
    own = [dict(each) for each in graph.get("parameters") or ()]
    if implementation in CUSTOM:
        return own
    if implementation == TENSORFLOW:
        if protocol == "tensorflow":
            return own
        ends = {"rest_endpoint": "http://0.0.0.0:2001", "grpc_endpoint": "0.0.0.0:2000"}
        if not any(each["name"] in ends for each in own):
            own += [_text(name, value) for name, value in ends.items()]
        return [*own, _text("model_name", graph["name"])]
    return [*own, _text("model_uri", "/mnt/models")] if graph.get("modelUri") else own


def v2_variables(implementation: str, protocol: str) -> tuple[tuple[str, str], ...]:
    """What a server with protocol v2 is told besides."""
    if implementation in (*CUSTOM, TENSORFLOW) or protocol not in ("v2", "kfserving"):
        return ()
    return (
        ("MLSERVER_MODEL_IMPLEMENTATION", ""),
        ("MLSERVER_MODEL_VERSION", "v1"),
        ("TEMPO_RUNTIME_OPTIONS", "{}"),
    )


def _text(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value, "type": "STRING"}
