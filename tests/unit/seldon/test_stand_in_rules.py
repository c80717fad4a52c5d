"""The stand-in of the operator: what its webhook refuses, and in which words."""

import pytest
from standins.seldon import rules, servers

OWN = {"image": "localhost/srv", "defaultImageVersion": "1"}
CONFIG = servers.DEFAULTS | {"SCHNITZEL_SERVER": {"protocols": {"v2": OWN}}}


@pytest.fixture
def said(resource):
    def ask(*predictors, protocol="v2"):
        found = resource(protocol=protocol)["spec"]
        [plain] = found["predictors"]
        found["predictors"] = [plain | predictor for predictor in predictors]
        return rules.refusal(found, CONFIG)

    return ask


def two(first, second):
    return {"name": "a"} | first, {"name": "b"} | second


SUM = "Traffic must sum to 100 for multiple predictors"


@pytest.mark.parametrize(
    ("predictors", "sentence"),
    [
        (two({"traffic": 60}, {"traffic": 30}), SUM),
        (two({}, {}), SUM),
        (two({"traffic": 90}, {"traffic": 10}), ""),
        (({"traffic": 50},), "Traffic must sum be 100 for a single predictor when set"),
        (({"traffic": 100},), ""),
        (({},), ""),
        (({"graph": {"name": "other"}},), "Can't find container for Predictive Unit"),
        (({"componentSpecs": []},), "Can't find container for Predictive Unit"),
        ((), "Graph contains no predictors"),
        (({"traffic": 50}, {"traffic": 50}), "Duplicate predictor name"),
        (({"shadow": True},), "Shadow can not exist as only predictor"),
        (
            ({}, {"name": "b", "shadow": True}, {"name": "c", "shadow": True}),
            "Multiple shadows are not allowed",
        ),
        (({}, {"name": "b", "shadow": True}), ""),
    ],
)
def test_predictors(said, predictors, sentence):
    assert said(*predictors) == sentence


def test_a_protocol_that_there_is_not(said):
    assert said({}, protocol="v3") == "Invalid protocol"
    assert said({}, protocol="kfserving") == ""


def test_children_need_an_engine(said):
    graph = {"name": "model", "children": [{"name": "model"}]}
    alone = "Running without engine only valid for single element graphs"
    assert said({"graph": graph}) == alone
    assert said({"graph": graph, "annotations": {}}) == ""


def served(implementation, **over):
    graph = {"name": "model", "implementation": implementation, "modelUri": "s3://m"} | over
    return {"graph": graph}


def test_servers(said):
    alone = {"componentSpecs": []}
    assert said(served("SCHNITZEL_SERVER") | alone) == ""
    assert said(served("X") | alone) == "No entry in predictors map for X"
    assert said(served("X")) == ""  # its container has an image
    missing = "Predictive unit modelUri required when using standalone servers"
    assert said(served("SCHNITZEL_SERVER", modelUri="")) == missing
    assert said(served("TENSORFLOW_SERVER", modelUri="")) == missing
    refused = "Prepackaged server does not handle tensorflow protocol"
    assert said(served("SKLEARN_SERVER"), protocol="tensorflow") == refused
    assert said(served("TENSORFLOW_SERVER"), protocol="tensorflow") == ""
    assert said(served("TENSORFLOW_SERVER"), protocol="v2") == ""
