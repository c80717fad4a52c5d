"""A deployment's weights as an HTTPRoute, and what an HTTPRoute and an answer tell of them."""

from __future__ import annotations

from hypothesis import given, strategies as st

from deployer import naming
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.render import route
from deployer.targets.kubernetes.render.route import Labels, Parent

LABELS = Labels("team-a")
PARENT = Parent("gateway", "edge")


def weighted(number: int, weight: int, model: str = "angler") -> WeightedPredictor:
    name = naming.predictor_name(model, "prod", number, f"{number:08x}")
    version = VersionId(model, number, 1)
    return WeightedPredictor(
        Predictor(name, version, Role.CHAMPION, f"{number:08x}", "", ServingSpec()), weight
    )


def deployment(*weighted: WeightedPredictor, model: str = "angler") -> Deployment:
    return Deployment(naming.deployment_id(model, "prod"), model, "prod", weighted)


def made(*weighted: WeightedPredictor, parent: Parent = PARENT) -> dict:
    found = route.manifest(deployment(*weighted), "prod", parent, LABELS)
    assert found is not None
    return found


def test_the_route_takes_the_prefix_off_and_splits_over_the_services() -> None:
    (rule,) = made(weighted(1, 90), weighted(2, 10))["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/prod/angler"}}]
    assert rule["filters"][0]["urlRewrite"]["path"] == {
        "type": "ReplacePrefixMatch",
        "replacePrefixMatch": "/",
    }
    assert [(ref["name"], ref["port"], ref["weight"]) for ref in rule["backendRefs"]] == [
        ("angler-prod-v1-00000001", 8080, 90),
        ("angler-prod-v2-00000002", 8080, 10),
    ]


def test_the_route_is_marked_as_ours_and_has_the_deployments_name() -> None:
    metadata = made(weighted(1, 100))["metadata"]
    assert metadata["name"] == "angler-prod"
    assert metadata["namespace"] == "prod"
    assert metadata["labels"]["schnitzel.dev/platform"] == "team-a"
    assert metadata["labels"]["schnitzel.dev/deployment"] == "angler-prod"
    assert metadata["annotations"]["schnitzel.dev/model"] == "angler"


def test_the_route_names_one_listener_if_asked_to() -> None:
    (reference,) = made(weighted(1, 100), parent=Parent("gateway", "edge", "https"))["spec"][
        "parentRefs"
    ]
    assert reference["sectionName"] == "https"
    assert (reference["name"], reference["namespace"]) == ("gateway", "edge")


def test_a_predictor_without_traffic_is_not_in_the_route() -> None:
    assert route.weights(made(weighted(1, 100), weighted(2, 0))) == {"angler-prod-v1-00000001": 100}


def test_without_traffic_there_is_no_route() -> None:
    assert route.manifest(deployment(weighted(1, 0)), "prod", Parent("g", "e"), LABELS) is None
    assert route.manifest(deployment(), "prod", Parent("g", "e"), LABELS) is None


def test_a_hostile_name_gives_a_plain_path_and_keeps_the_annotation() -> None:
    model = 'Größe "x" {y}'
    found = route.manifest(
        deployment(weighted(1, 100, model), model=model), "prod", Parent("g", "e"), LABELS
    )
    assert found is not None
    assert route.prefix(found) == f"/prod/{naming.url_segment(model)}"
    assert found["metadata"]["annotations"]["schnitzel.dev/model"] == model


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,48}[a-z0-9]", fullmatch=True), st.integers(1, 100)
    )
)
def test_weights_come_back_from_the_header(weights: dict[str, int]) -> None:
    assert (route.parse_weights(route.format_weights(weights)) or {}) == weights


def test_the_mark_on_an_answer_is_the_one_in_the_route_and_names_its_weights() -> None:
    found = made(weighted(2, 10), weighted(1, 90))
    assert route.parse_weights(route.weights_header(found)) == route.weights(found)


def test_a_mark_that_is_not_ours_is_not_read() -> None:
    assert route.parse_weights("") is None
    assert route.parse_weights("a=1, b") is None
    assert route.parse_weights("a=x") is None
    assert route.parse_weights("=1") is None


def test_a_route_that_the_gateway_refuses_says_so() -> None:
    condition = {
        "type": "Accepted",
        "status": "False",
        "reason": "NotAllowedByListeners",
        "message": "namespace prod",
        "observedGeneration": 2,
    }
    found = made(weighted(1, 100))
    found["metadata"]["generation"] = 2
    found["status"] = {"parents": [{"conditions": [condition]}]}
    assert route.refusal(found) == "NotAllowedByListeners namespace prod"
    found["metadata"]["generation"] = 3
    assert route.refusal(found) == ""
    assert route.refusal({}) == ""
