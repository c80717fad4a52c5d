"""Build the OpenAPI document of a server, from its model and signature.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from serving.front import routes
from serving.worker.oip import signature as signatures
from serving.worker.oip.tensors import DATATYPES

if TYPE_CHECKING:
    from serving.worker.oip.signature import Side, Signature, Tensor

MOST_TENSORS = 100
"""Most inputs that are described one by one; of more inputs, only their common form is
described."""
LARGEST = 2**31 - 1
Schema = dict[str, Any]
FRONT_STATUSES = (400, 405, 408, 413, 417, 431, 501, 503, 505)
"""Statuses that any request may get, before its path is examined."""
MODEL = (415, 500, 504)
"""Statuses of requests that ask the model."""
_GET = {
    "index": "Name the model, its version and the paths",
    "server": "Describe the server",
    "live": "Say whether the server lives",
    "ready": "Say whether the model can be asked",
    "ping": "Say whether the model can be asked, as MLflow does",
    "version": "Name the version of MLflow that the model is asked by",
    "metrics": "Show Prometheus metrics",
    "openapi": "Show this document",
    "model": "Describe the model's inputs and outputs",
    "model_ready": "Say whether the model can be asked",
}
_TEXTS = frozenset({"ping", "version", "metrics"})
_LIVE = {"type": "object", "required": ["live"], "properties": {"live": {"type": "boolean"}}}
_READY = {
    "type": "object",
    "required": ["ready"],
    "properties": {
        "name": {"type": "string"},
        "ready": {"type": "boolean"},
        "reason": {"type": "string"},
        "message": {"type": "string"},
    },
}
_ERROR = {
    "type": "object",
    "anyOf": [{"required": ["error"]}, {"required": ["error_code", "message"]}],
    "properties": {
        "error": {"type": "string", "description": "In the Open Inference Protocol, and elsewhere"},
        "error_code": {"type": "string", "description": "In MLflow's protocol"},
        "message": {"type": "string"},
        "error_id": {"type": "string", "description": "Finds the traceback in the server's log"},
    },
}


def document(model: str, version: str, signature: Signature) -> dict[str, Any]:
    """Return the document of a server of this model."""
    paths: dict[str, Any] = {}
    for path, name in routes.paths(model, version).items():
        if name in _GET:
            paths[path] = {"get": _get(path, name)}
        else:
            takes = {"infer": _infer, "invocations": _invocations}[name]
            paths[path] = {"post": _post(path, name, takes(signature))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": model,
            "version": version,
            "summary": "Predictions of one version of a model",
        },
        "servers": [{"url": "./", "description": "where this document was found"}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, "Ready": _READY, "Live": _LIVE, "Tensor": _any_tensor()},
            "responses": {
                str(status): _refusal(status) for status in (*FRONT_STATUSES, *MODEL, 404)
            },
        },
    }


def _operation(path: str, name: str, summary: str, *statuses: int) -> dict[str, Any]:
    id_ = "_".join(filter(None, (name, *path.strip("/").split("/"))))
    responses = {
        str(s): {"$ref": f"#/components/responses/{s}"} for s in (*FRONT_STATUSES, *statuses)
    }
    return {"operationId": id_, "summary": summary, "responses": responses}


def _get(path: str, name: str) -> dict[str, Any]:
    operation = _operation(path, name, _GET[name], *((404,) if name == "version" else ()))
    kind = "text/plain" if name in _TEXTS else "application/json"
    schema: Schema = {"type": "string"} if name in _TEXTS else {"type": "object"}
    if name in ("ready", "model_ready", "live"):
        schema = {"$ref": f"#/components/schemas/{'Live' if name == 'live' else 'Ready'}"}
    operation["responses"]["200"] = _answer("OK", {kind: {"schema": schema}})
    if name in ("ready", "model_ready"):
        unready = {"application/json": {"schema": schema}}
        operation["responses"]["503"] = _answer("Not ready", unready)
    return operation


def _post(path: str, name: str, kinds: dict[str, Schema]) -> dict[str, Any]:
    operation = _operation(path, name, "Ask the model", *MODEL)
    content = {kind: {"schema": schema} for kind, schema in kinds.items()}
    operation["requestBody"] = {"required": True, "content": content}
    result: Schema = {}
    if name == "infer":
        outputs = {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}}
        texts = {each: {"type": "string"} for each in ("model_name", "model_version", "id")}
        result = {
            "type": "object",
            "required": ["model_name", "model_version", "id", "outputs"],
            "properties": {**texts, "outputs": outputs},
        }
    operation["responses"]["200"] = _answer("OK", {"application/json": {"schema": result}})
    return operation


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    headers = ("X-Schnitzel-Model-Version", "X-Schnitzel-Predictor", "X-Request-Id")
    return {
        "description": description,
        "headers": dict.fromkeys(headers, text),
        "content": content,
    }


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    if status in (400, 415):  # mlflow answers some of these with plain text
        content["text/plain"] = {"schema": {"type": "string"}}
    refusal = _answer(HTTPStatus(status).phrase, content)
    more = {405: "Allow", 503: "Retry-After"}.get(status)
    if more:
        refusal["headers"] = {**refusal["headers"], more: {"schema": {"type": "string"}}}
    return refusal


# -- what the model takes


def _described(side: Side | None) -> Side | None:
    return side if side is not None and len(side.tensors) <= MOST_TENSORS else None


def _value(datatype: str) -> Schema:
    if datatype == "BOOL":
        return {"type": "boolean"}
    if datatype == "BYTES":
        return {"type": ["string", "null"]}
    if datatype.startswith("FP"):
        return {"type": ["number", "null"]}
    bits = int(datatype.lstrip("UINT"))
    least, most = (0, 2**bits) if datatype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return {"type": "integer", "minimum": least, "maximum": most - 1}


def _any_tensor() -> Schema:
    length = {"type": "integer", "minimum": 0, "maximum": LARGEST}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": list(DATATYPES)},
            "shape": {"type": "array", "items": length, "minItems": 1, "maxItems": 32},
            "data": {"type": "array", "description": "flat in row-major order, or nested"},
        },
    }


def _tensor(tensor: Tensor) -> Schema:
    takes = [tensor.datatype, *sorted(signatures.WIDENED.get(tensor.datatype, ()))]
    return {
        "allOf": [{"$ref": "#/components/schemas/Tensor"}],
        "description": f"{tensor.wanted()}; -1 is any length",
        "properties": {"name": {"const": tensor.name}, "datatype": {"enum": takes}},
    }


def _infer(signature: Signature) -> dict[str, Schema]:
    side = _described(signature.inputs)
    items: Schema = {"$ref": "#/components/schemas/Tensor"}
    if side is not None and side.named:
        # A single tensor of another name may carry all columns of one type.
        items = {"anyOf": [*map(_tensor, side.tensors), *([items] if side.columns else [])]}
    named = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    properties = {
        "id": {"type": "string"},
        "parameters": _params(signature),
        "inputs": {"type": "array", "items": items, "minItems": 1},
        "outputs": {"type": "array", "items": named},
    }
    return {
        "application/json": {"type": "object", "required": ["inputs"], "properties": properties}
    }


def _params(signature: Signature) -> Schema:
    known: Schema = {name: {} for name in sorted(signature.params)[:MOST_TENSORS]}
    return {"type": "object", "properties": known}


def _invocations(signature: Signature) -> dict[str, Schema]:
    side = _described(signature.inputs)
    row: Schema = {"type": "object"}
    names: Schema = {"type": "array"}
    if side is not None and side.columns and side.named:
        row["properties"] = {tensor.name: _cell(tensor) for tensor in side.tensors}
        row["required"] = [tensor.name for tensor in side.tensors if tensor.required]
        names["items"] = {"enum": [tensor.name for tensor in side.tensors]}
    rows = {"type": "array", "items": {"type": "array"}}
    split = {
        "type": "object",
        "required": ["data"],
        "properties": {"columns": names, "index": {"type": "array"}, "data": rows},
    }
    forms: dict[str, Schema] = {
        "dataframe_split": split,
        "dataframe_records": {"type": "array", "items": row},
        "inputs": {},
        "instances": {},
    }
    json = {
        "type": "object",
        "properties": {**forms, "params": _params(signature)},
        "description": "One of these, or what a chat model takes",
    }
    return {"application/json": json, "text/csv": {"type": "string"}}


def _cell(tensor: Tensor) -> Schema:
    return {} if tensor.unsupported else _value(tensor.datatype)
