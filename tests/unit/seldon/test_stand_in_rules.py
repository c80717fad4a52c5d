"""The stand-in of the operator: what its webhook refuses, in which words, and nothing else."""

import json

import pytest
from standins.seldon import rules, servers
from support import ROOT

OWN = {"image": "localhost/srv", "defaultImageVersion": "1"}
CONFIG = servers.configured({"SCHNITZEL_SERVER": {"protocols": {"v2": OWN}}})
METHODS = "Predictive Unit has no implementation methods defined."
KAFKA = "For kafka please supply svcOrchSpec envs"
RECORDED = json.loads((ROOT / "tests/standins/seldon/recorded/refusals.json").read_text())


@pytest.fixture
def refused(resource):
    """All that is said against a SeldonDeployment, with the field of each."""

    def ask(*predictors, protocol="v2", **over):
        found = resource(protocol=protocol)["spec"] | over
        [plain] = found["predictors"]
        found["predictors"] = [plain | predictor for predictor in predictors]
        return [(each.field, each.detail) for each in rules.refusals(found, CONFIG)]

    return ask


@pytest.fixture
def said(refused):
    def ask(*predictors, **over):
        return [detail for _, detail in refused(*predictors, **over)]

    return ask


@pytest.mark.parametrize("case", RECORDED["refused"], ids=lambda case: case["case"])
def test_it_refuses_what_the_real_one_was_seen_to_refuse(said, case):
    [detail] = said(*case["predictors"], **case["spec"])
    assert detail.startswith(case["said"])


@pytest.mark.parametrize("case", RECORDED["accepted"], ids=lambda case: case["case"])
def test_it_takes_what_the_real_one_was_seen_to_take(said, case):
    assert said(*case["predictors"], **case["spec"]) == []


def test_all_is_said_at_once_each_with_its_field(refused):
    graph = {"name": "x", "children": [{"name": "y", "implementation": "SIMPLE_MODEL"}]}
    plain = {"annotations": {}, "graph": {"name": "model"}}
    found = refused(plain, {"name": "other", "annotations": {}, "graph": graph}, protocol="v3")
    assert found == [
        ("spec", "Invalid protocol"),
        ("spec.predictors[1].graph", "Can't find container for Predictive Unit"),
        ("spec", "Traffic must sum to 100 for multiple predictors"),
    ]


def test_a_child_is_named_by_its_place(refused):
    graph = {"name": "model", "children": [{"name": "model"}, {"name": "y"}]}
    [(field, _)] = refused({"annotations": {}, "graph": graph})
    assert field == "spec.predictors[0].graph[1]"


@pytest.mark.parametrize(
    ("graph", "protocol", "sentences"),
    [
        (
            {"implementation": "X"},
            "v2",
            ["Predictive unit modelUri required when using standalone servers"],
        ),
        ({"implementation": "HUGGINGFACE_SERVER"}, "v2", []),
        ({"implementation": "SCHNITZEL_SERVER", "modelUri": "s3://m"}, "tensorflow", []),
        (
            {"implementation": "MLFLOW_SERVER", "modelUri": "s3://m"},
            "tensorflow",
            ["Prepackaged server does not handle tensorflow protocol MLFLOW_SERVER"],
        ),
        ({"implementation": "SIMPLE_MODEL"}, "v2", []),
        ({"implementation": ""}, "v2", []),
        (
            {"type": "UNKNOWN_TYPE"},
            "v2",
            [f"{METHODS} Change to a known type or add what methods it defines"],
        ),
        ({"type": "UNKNOWN_TYPE", "methods": ["ROUTE"]}, "v2", []),
        ({"logger": {}}, "v2", ["No logger mode specified"]),
        ({"logger": {"mode": "all"}}, "v2", []),
    ],
)
def test_units(said, graph, protocol, sentences):
    assert said({"graph": {"name": "model"} | graph}, protocol=protocol) == sentences


def test_a_server_that_is_not_in_the_config_needs_an_image_of_its_own(said):
    graph = {"name": "model", "implementation": "X", "modelUri": "s3://m"}
    missing = ["No entry in predictors map for X"]
    assert said({"graph": graph, "componentSpecs": []}) == missing
    bare = [{"spec": {"containers": [{"name": "model"}]}}]
    assert said({"graph": graph, "componentSpecs": bare}) == missing


def test_children_need_an_engine_whatever_the_annotation_says(said):
    graph = {"name": "model", "children": [{"name": "model"}]}
    off = {"seldon.io/no-engine": "false"}
    alone = ["Running without engine only valid for single element graphs"]
    assert said({"graph": graph, "annotations": off}) == alone


@pytest.mark.parametrize(
    ("spec", "sentences"),
    [
        ({"transport": "udp"}, ["Invalid transport"]),
        ({"transport": "grpc"}, []),
        ({"serverType": "amqp"}, ["Invalid serverType"]),
        ({"serverType": "rabbitmq"}, []),
        (
            {"serverType": "kafka"},
            [f"{KAFKA} KAFKA_BROKER, KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC"],
        ),
    ],
)
def test_how_it_is_spoken_to(said, spec, sentences):
    assert said({}, **spec) == sentences


def test_kafka_with_its_variables(said):
    env = [{"name": name, "value": "x"} for name in rules.KAFKA]
    assert said({"svcOrchSpec": {"env": env}}, serverType="kafka") == []


@pytest.mark.parametrize(
    ("kinds", "transport", "sentences"),
    [
        (("REST", "REST"), "", []),
        (("REST", "GRPC"), "", ["Multiple endpoint.types found"]),
        (("GRPC", None), "grpc", []),
        (("GRPC", None), "rest", ["Mixed transport types found."]),
    ],
)
def test_endpoints_of_one_kind(said, kinds, transport, sentences):
    units = [{"name": "model", "endpoint": {"type": kind} if kind else {}} for kind in kinds]
    graph = units[0] | {"children": units[1:]}
    found = said({"annotations": {}, "graph": graph}, transport=transport)
    assert [each[: len(s)] for each, s in zip(found, sentences, strict=True)] == sentences


@pytest.mark.parametrize(
    ("predictors", "sentences"),
    [
        (({"traffic": 150},), []),
        (({"traffic": 50}, {"name": "b", "shadow": True}), []),
        (
            ({}, {"name": "b", "shadow": True, "traffic": 101}),
            ["shadow traffic is illegal, the traffic number should be between [0, 100]"],
        ),
        (
            ({"shadow": True}, {"name": "b", "shadow": True}),
            ["Multiple shadows are not allowed"],
        ),
    ],
)
def test_traffic(said, predictors, sentences):
    assert said(*predictors) == sentences


def test_the_answer_is_the_one_that_go_makes_of_invalid_fields():
    one = rules.Refusal("spec.predictors[0].graph", "other", "Can't find container")
    found = rules.answer([one], "")
    assert (found["code"], found["reason"]) == (422, "Invalid")
    assert found["message"] == (
        'SeldonDeployment.machinelearing.seldon.io "" is invalid: spec.predictors[0].graph: '
        'Invalid value: "other": Can\'t find container'
    )
    two = rules.answer([one, rules.Refusal("spec", "v3", "Invalid protocol"), one], "")
    assert two["message"].endswith(
        '[spec.predictors[0].graph: Invalid value: "other": Can\'t find container, '
        'spec: Invalid value: "v3": Invalid protocol]'
    )
    assert len(two["details"]["causes"]) == 3
