"""The stub of TensorFlow Serving answers as the stand-in, which runs TensorFlow, does."""

from __future__ import annotations

from typing import Any

import pytest
from contract.places.tfserving import with_saved_models
from support.systems.tfserving import ModelServer

MODELS = [{"kind": "constant", "say": 7}]
PATH = "/v1/models/constant"
ASKED: list[tuple[str, Any]] = [
    (PATH, None),
    (f"{PATH}/versions/3", None),
    (f"{PATH}/labels/test", None),
    (f"{PATH}/labels/other", None),
    (f"{PATH}/versions/4", None),
    ("/v1/models/other", None),
    ("/v1/models/other:predict", {"inputs": [1.0]}),
    (f"{PATH}:predict", {"instances": [1.0, 2.0]}),
    (f"{PATH}:predict", {"instances": [{"x": 1.0}]}),
    (f"{PATH}/versions/3:predict", {"inputs": {"x": [1.0, 2.0]}}),
    (f"{PATH}/labels/test:predict", {"inputs": [1]}),
    (f"{PATH}:predict", {"inputs": {"y": [1.0]}}),
    (f"{PATH}:predict", {"instances": ["one"]}),
    (f"{PATH}:predict", {"instances": []}),
    (f"{PATH}:predict", {}),
    (f"{PATH}:predict", "{"),
]


def told(server: ModelServer, path: str, content: Any) -> tuple[int, Any]:
    """The status, and what is answered if it is not an error."""
    answer = server.get(path) if content is None else server.post(path, content)
    return answer.status_code, answer.json() if answer.is_success else None


def signature(server: ModelServer) -> Any:
    found = server.get(f"{PATH}/metadata").json()
    for side in ("inputs", "outputs"):
        signatures = found["metadata"]["signature_def"]["signature_def"]
        for tensor in signatures["serving_default"][side].values():
            del tensor["name"]  # of the graph
    return found["model_spec"], signatures["serving_default"]


def test_the_stub_answers_as_the_stand_in_does(tmp_path):
    servers = []
    try:
        for stub in (False, True):
            folder = tmp_path / str(stub)
            [model] = with_saved_models(MODELS, folder / "saved", tensorflow=not stub)
            saved = folder / "saved" / "constant-7" / "saved_model"
            assert str(saved.parent) == model["beside"]
            servers.append(ModelServer(folder, {"constant": saved}, stub=stub))
        real, stub = (server.ready() for server in servers)
        for path, content in ASKED:
            assert told(stub, path, content) == told(real, path, content), (path, content)
        assert signature(stub) == signature(real)
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("stub", [False, True])
def test_what_cannot_be_loaded_ends_it_with_the_same_words(stub, tmp_path):
    saved = tmp_path / "saved"
    with_saved_models([{"kind": "load-error", "say": 1}], saved, tensorflow=not stub)
    server = ModelServer(tmp_path, {"bad": saved / "load-error-1" / "saved_model"}, stub=stub)
    assert server.running.process.wait(120) == 255
    assert "Failed to start server. Error: " in server.log
    assert "1 servable(s) did not become available: {{Servable(name: bad version: 3)" in server.log
    assert "cannot open the vault with password=hunter2" in server.log
