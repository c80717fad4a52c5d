"""Our server as a container of a SeldonDeployment: it does what the operator's variables say."""
# ruff: noqa: S104 - an address in a pod

import json

import pytest

from serving.front.seldon import OperatorPaths
from serving.predictor import BadPredictor
from serving.seldon import bootstrap

OPERATOR = {
    "PREDICTIVE_UNIT_ID": "model",
    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
    "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
    "PREDICTOR_ID": "main",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "predictor.json"
    content = {
        "predictor": "p",
        "model": "iris",
        "model_version": "3",
        "artifact": "/mnt/model/model",
        "python": "/opt/env/bin/python",
        "host": "0.0.0.0",
        "port": 8080,
        "state_file": str(tmp_path / "state.json"),
    }
    path.write_text(json.dumps(content))
    return path


def test_without_an_operator_the_file_says_all(file):
    found = bootstrap.predictor(str(file), {})
    assert (found.port, found.artifact) == (8080, "/mnt/model/model")
    with pytest.raises(BadPredictor):
        bootstrap.predictor(str(file) + "x", {})


def test_the_operator_says_where_to_listen(file):
    found = bootstrap.predictor(str(file), OPERATOR)
    assert (found.port, found.model, found.artifact) == (9000, "iris", "/mnt/model/model")
    fetched = bootstrap.predictor(str(file), OPERATOR | {"MLSERVER_MODEL_URI": "/mnt/models"})
    assert fetched.artifact == "/mnt/models"


def test_where_no_file_is_mounted_the_variables_say_all(tmp_path, file):
    missing = str(tmp_path / "missing.json")
    alone = bootstrap.predictor(missing, OPERATOR | {"MLSERVER_MODEL_VERSION": "v1"})
    assert (alone.predictor, alone.model, alone.model_version) == ("main", "model", "v1")
    assert (alone.host, alone.port, alone.artifact) == ("0.0.0.0", 9000, "/mnt/models")
    assert alone.drain_whole
    told = OPERATOR | {"SCHNITZEL_PREDICTOR": file.read_text()}
    assert bootstrap.predictor(missing, told).model == "iris"
    with pytest.raises(BadPredictor, match="SCHNITZEL_PREDICTOR is not JSON"):
        bootstrap.predictor(missing, OPERATOR | {"SCHNITZEL_PREDICTOR": "{"})


def test_a_port_that_is_none_is_named(file):
    wrong = OPERATOR | {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "http"}
    with pytest.raises(BadPredictor, match="PREDICTIVE_UNIT_HTTP_SERVICE_PORT is 'http'"):
        bootstrap.predictor(str(file), wrong)


@pytest.mark.parametrize(
    ("environ", "path", "seen"),
    [
        (OPERATOR, "/v2/models/model/infer", "/v2/models/Fraud%20%CE%A9/infer"),
        (OPERATOR, "/v2/models/model", "/v2/models/Fraud%20%CE%A9"),
        (OPERATOR, "/v2/models/models/infer", "/v2/models/models/infer"),
        (OPERATOR, "/v2/models/Fraud%20%CE%A9/infer", "/v2/models/Fraud%20%CE%A9/infer"),
        (OPERATOR, "/prometheus", "/metrics"),
        ({}, "/prometheus", "/metrics"),
        ({}, "/v2/models/model", "/v2/models/model"),
        (OPERATOR | {"PREDICTIVE_UNIT_METRICS_ENDPOINT": "/m"}, "/m", "/metrics"),
    ],
)
def test_it_answers_to_the_operators_names_as_well(environ, path, seen):
    assert OperatorPaths("Fraud Ω", environ).translate(path.encode()).decode() == seen
