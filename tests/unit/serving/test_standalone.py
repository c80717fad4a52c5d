"""The predictor of the environment's variables."""

from __future__ import annotations

import pytest
from support import ROOT

from serving import standalone
from serving.predictor import BadPredictor, Destination

PLAIN = {"SCHNITZEL_MODEL": "/models/iris", "SCHNITZEL_PYTHON": "/env/bin/python"}
QUEUE = PLAIN | {
    "SCHNITZEL_QUEUE_SOURCE": "texts",
    "SCHNITZEL_QUEUE_RESULTS": "answers, topics/text.{prediction}",
    "SCHNITZEL_QUEUE_OTHER": "other",
    "SCHNITZEL_QUEUE_DEAD_LETTER": "texts.dead",
}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_folder_and_an_interpreter_suffice():
    found = standalone.predictor(PLAIN)
    assert (found.artifact, found.python, found.artifact_uri) == (
        "/models/iris", "/env/bin/python", "",
    )  # fmt: skip
    assert (found.host, found.port, found.queue) == ("127.0.0.1", 8080, None)


def test_a_model_of_a_store_is_fetched_into_a_folder_of_its_own(home):
    uri = "mlflow-artifacts:/1/models/m-1/artifacts"
    told = {"SCHNITZEL_MODEL": uri, "MLFLOW_TRACKING_URI": "http://mlflow"}
    found = standalone.predictor(PLAIN | told)
    assert found.artifact_uri == uri
    assert found.tracking_uri == "http://mlflow"
    assert found.artifact.startswith(str(home))


def test_a_queue_of_the_environment():
    queue = standalone.predictor(QUEUE | {"SCHNITZEL_QUEUE_PREFETCH": "5"}).queue
    assert queue is not None
    assert (queue.source, queue.dead_letter, queue.prefetch) == ("texts", "texts.dead", 5)
    assert queue.share == (0, 1)
    assert queue.results == (
        Destination("", "answers", "other"),
        Destination("topics", "text.{prediction}", "other"),
    )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SCHNITZEL_MODEL": ""}, "SCHNITZEL_MODEL is not set"),
        ({"SCHNITZEL_PYTHON": ""}, "SCHNITZEL_PYTHON must be a text"),
        ({"SCHNITZEL_PORT": "many"}, "SCHNITZEL_PORT is 'many'"),
        ({"SCHNITZEL_TIMEOUT_SECONDS": "0"}, "SCHNITZEL_TIMEOUT_SECONDS must be a number"),
        ({"SCHNITZEL_INPUT": "loose"}, "SCHNITZEL_INPUT must be strict or mlflow"),
        ({"SCHNITZEL_QUEUE_SOURCE": ""}, "SCHNITZEL_QUEUE_SOURCE must be a text"),
        ({"SCHNITZEL_QUEUE_RESULTS": ""}, "SCHNITZEL_QUEUE_RESULTS must be a list"),
        ({"SCHNITZEL_QUEUE_DEAD_LETTER": ""}, "SCHNITZEL_QUEUE_DEAD_LETTER must be a text"),
        ({"SCHNITZEL_QUEUE_ATTEMPTS": "0"}, "SCHNITZEL_QUEUE_ATTEMPTS must be a whole number"),
        ({"SCHNITZEL_QUEUE_PREFETCH": "1.5"}, "SCHNITZEL_QUEUE_PREFETCH must be a whole number"),
        ({"SCHNITZEL_QUEUE_SOURCE": "x" * 256}, "at most 255 bytes"),
    ],
)
def test_what_is_wrong_is_named_by_its_variable(wrong, named):
    with pytest.raises(BadPredictor, match=named):
        standalone.predictor(QUEUE | wrong)


def test_the_reference_has_every_variable_and_its_default():
    page = (ROOT / "docs/reference/standalone.md").read_text()
    for variable in standalone.VARIABLES:
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{variable.name}` |")]
        assert f"`{variable.default}`" in line or not variable.default
    for name in ("SCHNITZEL_MODEL", "SCHNITZEL_QUEUE_URL", "MLFLOW_TRACKING_URI"):
        assert f"| `{name}` |" in page
