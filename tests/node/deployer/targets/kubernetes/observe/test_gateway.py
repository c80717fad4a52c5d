"""Which weights a real gateway serves, asked of it; on a real cluster, under its own controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.kubernetes.pod_server import deployment, service
from support.run.wait import wait_for
from support.systems.cluster import cluster

from deployer.errors import GatewayUnavailable
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.render import route
from deployer.targets.kubernetes.render.route import Labels, Parent

ID = "angler-prod"


def routed(namespace: str = "prod", parent: Parent = Parent("g", "e"), **weights: int) -> Any:  # noqa: B008
    weighted = tuple(
        WeightedPredictor(
            Predictor(name, VersionId("angler", 1, 1), Role.CHAMPION, "d", "", ServingSpec()),
            weight,
        )
        for name, weight in weights.items()
    )
    wanted = Deployment(ID, "angler", namespace, weighted)
    return route.manifest(wanted, namespace, parent, Labels("tests"))


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Any, str, Parent, Gateway]]:
    """Two predictors that answer, one that has no replica, and the gateway before them."""
    there = cluster()
    known = there.fact("gateway")
    _, _, base = there.fact("base_image").partition("/")
    image = f"{there.fact('registry_pull')}/{base}"
    with there.namespace() as namespace:
        for name, replicas in (("one", 1), ("two", 1), ("none", 0)):
            pods, door = deployment(name, image, name, replicas), service(name)
            door["spec"]["ports"][0]["port"] = route.PORT
            there.apply(pods, door, namespace=namespace)
        for name in ("one", "two"):
            there.kubectl("-n", namespace, "rollout", "status", f"deployment/{name}")
        found = Gateway(there.fact("gateway_url"))
        yield there, namespace, Parent(known["name"], known["namespace"]), found
        found.close()


def test_a_cluster_s_gateway_says_which_weights_it_serves(live: Any) -> None:
    there, namespace, parent, found = live
    url = found.url("angler", namespace)

    def apply(**weights: int) -> dict[str, Any]:
        wanted: dict[str, Any] = routed(namespace, parent, **weights)
        there.apply(wanted, namespace=namespace)
        wait_for(lambda: found.live(ID, wanted) == route.weights(wanted), f"{weights}", 30, 0.02)
        return wanted

    apply(one=100)
    assert httpx.get(f"{url}some/path?q=1", trust_env=False).text == "one"
    apply(one=50, two=50)
    assert {httpx.get(url, trust_env=False).text for _ in range(20)} == {"one", "two"}
    apply(two=100)
    assert {httpx.get(url, trust_env=False).text for _ in range(20)} == {"two"}
    apply(none=100)
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.headers[route.HEADER]) == (503, "none=100")
    apply(two=90, absent=10)
    there.kubectl("-n", namespace, "delete", "httproute", ID)
    wait_for(lambda: found.live(ID, None) == {}, "the route to be gone", 30, 0.02)
    assert httpx.get(url, trust_env=False).status_code == 404


def test_a_route_reads_back_as_it_was_applied(live: Any) -> None:
    there, namespace, parent, _ = live
    wanted = routed(namespace, parent, one=90, two=10)
    there.apply(wanted, namespace=namespace)
    (read,) = (there.get("httproute", ID, "-n", namespace)["spec"]["rules"],)
    assert read == wanted["spec"]["rules"]
    there.kubectl("-n", namespace, "delete", "httproute", ID)


def test_a_gateway_that_refuses_the_route_is_told_in_its_words(live: Any) -> None:
    there, namespace, parent, found = live
    wanted = routed(namespace, Parent(parent.name, parent.namespace, "no-such-listener"), one=100)
    there.apply(wanted, namespace=namespace)

    def refused() -> str:
        read = there.get("httproute", ID, "-n", namespace)
        try:
            found.live(ID, read)
        except GatewayUnavailable as error:
            return error.message
        return ""

    assert "NoMatchingParent" in wait_for(refused, "the refusal to be told", 30, 0.1)
    there.kubectl("-n", namespace, "delete", "httproute", ID)
