"""One model, each version of it in a runtime of its own: promoted there and back, at one URL.

TensorFlow Serving is a stub of it, and Seldon's operator a stand-in.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import httpx
import pytest
from contract.places.tfserving import with_saved_models
from support.load import Load
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster
from support.systems.environment_builder import small_image

pytestmark = pytest.mark.timeout(1800)

SPECS: dict[str, dict[str, Any]] = {
    "1": {"runtime": "mlflow"},
    "2": {"runtime": "tfserving"},
    "3": {"runtime": "seldon"},
    "4": {"runtime": "seldon", "seldon": {"shape": "tensorflow"}},
}
CONTAINERS = {
    "1": {"artifact", "server"},
    "2": {"artifact", "tfserving", "server"},
    "3": {"artifact", "model"},
    "4": {"model-model-initializer", "model", "oip"},
}
TENSORFLOW = ("2", "4")
JOURNEY = ("2", "3", "4", "1")
QUESTION = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
).encode()
ALIKE = {
    "dataframe_split": {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}},
    "dataframe_records": {"dataframe_records": [{"x": 1.0}, {"x": 2.0}]},
    "instances": {"instances": [{"x": 1.0}, {"x": 2.0}]},
    "inputs": {"inputs": {"x": [1.0, 2.0]}},
}


class Journey(NamedTuple):
    """A model's way through its versions.

    Attributes:
        model: its name.
        urls: where it was after each promotion.
        invocations, inferences: what was asked all the time, in two protocols.
        containers: those of the pods of each version.
        said: what each version answered when asked in every form: status, content.
    """

    model: str
    urls: list[str]
    invocations: Load
    inferences: Load
    containers: dict[str, set[str]]
    said: dict[str, dict[str, tuple[int, str]]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    home = tmp_path_factory.mktemp("runtimes") / "home"
    limits = {"limits": {"images": ["*"]}}
    made = ClusterPlatform(cluster(), home, settings=limits, runtimes=("seldon", "tfserving"))
    models = []
    for version, spec in SPECS.items():
        # The container that waits for requests to end waits for as long as one may take.
        serving = spec | {"timeout_seconds": 10}
        if version not in TENSORFLOW:
            serving["image"] = small_image(cluster())
        models.append({"kind": "constant", "say": int(version), "serving": serving})
    models.append(models[-1] | {"kind": "load-error", "say": 5})
    named = [model | {"name": made.model("mover")} for model in models]
    try:
        log_models(made.mlflow.url, with_saved_models(named, made.home / "saved-models"))
        made.up()
        yield made
    finally:
        made.down()


def promote(platform: ClusterPlatform, version: str) -> dict[str, Any]:
    platform.mlflow.alias(platform.model("mover"), platform.environment("prod"), int(version))
    seen = platform.serving("mover", int(version), seconds=900)
    [serving] = [each for each in seen["predictors"] if each["weight"] == 100]
    assert serving["runtime"] == SPECS[version]["runtime"]
    return seen


def containers(platform: ClusterPlatform, seen: dict[str, Any]) -> set[str]:
    """The names of the containers, init containers too, of the predictor that serves."""
    [predictor] = [each["name"] for each in seen["predictors"] if each["weight"] == 100]
    where = platform.environment("prod")
    pods = platform.cluster.ready_pods(where, "-l", f"schnitzel.dev/predictor={predictor}")
    both = ("containers", "initContainers")
    return {each["name"] for pod in pods for part in both for each in pod["spec"].get(part, [])}


def asked(platform: ClusterPlatform, url: str) -> dict[str, tuple[int, str]]:
    """What whatever serves there answers when it is asked in every form."""
    model = platform.model("mover")

    def told(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.text

    def post(path: str, content: Any, kind: str = "application/json") -> tuple[int, str]:
        body = content if isinstance(content, str) else json.dumps(content)
        headers = {"content-type": kind}
        return told(platform.client.post(f"{url}{path}", content=body, headers=headers))

    found = {form: post("invocations", body) for form, body in ALIKE.items()}
    found["csv"] = post("invocations", "x\n1.0\n", "text/csv")
    for what, row in {"no number": {"x": "one"}, "another column": {"y": 1.0}}.items():
        found[what] = post("invocations", {"dataframe_records": [row]})
    found["metadata"] = told(platform.client.get(f"{url}v2/models/{model}"))
    for path in ("ping", "version", "v2/health/ready", "v1/models/model"):
        found[path] = told(platform.client.get(f"{url}{path}"))
    found["v1/models/NAME"] = told(platform.client.get(f"{url}v1/models/{model}"))
    return found


@pytest.fixture(scope="module")
def journey(platform):
    model, said, inside = platform.model("mover"), {}, {}
    seen = promote(platform, "1")
    urls = [url := seen["url"]]
    said["1"], inside["1"] = asked(platform, url), containers(platform, seen)
    infer = (f"v2/models/{model}/infer", QUESTION)
    with Load(url, 20, 2) as invocations, Load(url, 20, 2, *infer) as inferences:
        for version in JOURNEY:
            seen = promote(platform, version)
            urls.append(seen["url"])
            said[version], inside[version] = asked(platform, url), containers(platform, seen)
    return Journey(model, urls, invocations, inferences, inside, said)


def test_a_model_moves_from_runtime_to_runtime_without_a_lost_request(journey):
    assert journey.containers == CONTAINERS
    assert set(journey.urls) == {journey.urls[0]}
    for load in (journey.invocations, journey.inferences):
        assert not load.failed, load.failed[:3]
        assert load.versions() == set(SPECS)
    for answer in journey.invocations.answers:
        assert json.loads(answer.body) == {"predictions": [int(answer.version)]}
    for answer in journey.inferences.answers:
        told = json.loads(answer.body)
        said = {
            "name": "output-0",
            "datatype": "INT64",
            "shape": [1],
            "data": [int(answer.version)],
        }
        assert told == {
            "model_name": journey.model,
            "model_version": answer.version,
            "id": told["id"],
            "outputs": [said],
        }


@pytest.mark.parametrize("version", SPECS)
def test_clients_do_not_see_what_serves(journey, version):
    said = journey.said[version]
    for form in ALIKE:
        assert said[form][0] == 200, said[form]
        assert json.loads(said[form][1]) == {"predictions": [int(version)] * 2}, form
    assert said["no number"][0] == 400
    assert said["ping"][0] == said["v2/health/ready"][0] == 200
    metadata, first = (json.loads(journey.said[v]["metadata"][1]) for v in (version, "1"))
    assert (metadata["name"], metadata["versions"]) == (journey.model, [version])
    assert metadata["outputs"] == first["outputs"]
    assert [(i["name"], i["datatype"]) for i in metadata["inputs"]] == [("x", "FP64")]


@pytest.mark.parametrize("version", SPECS)
def test_what_differs_is_what_the_guide_says(journey, version):
    """docs/guides/tfserving.md, "What a client sees"."""
    said, tensorflow = journey.said[version], version in TENSORFLOW
    platform = "tensorflow_savedmodel" if tensorflow else "mlflow_pyfunc"
    assert json.loads(said["metadata"][1])["platform"] == platform
    assert said["another column"][0] == (200 if tensorflow else 400)
    assert said["csv"][0] == (400 if tensorflow else 200)
    assert said["version"][0] == (404 if tensorflow else 200)
    assert said["v1/models/NAME"][0] == (200 if version == "2" else 404)
    assert said["v1/models/model"][0] == (200 if version == "4" else 404)


def test_nothing_is_left_of_the_runtimes_that_served_before(journey, platform):
    wait_for(
        lambda: {o["metadata"]["labels"]["app.kubernetes.io/version"]
                 for kind in ("seldondeployments", "deployments", "services", "configmaps", "pods")
                 for o in platform.objects(kind)
                 if "schnitzel.dev/predictor" in o["metadata"].get("labels", {})} == {"1"},
        "only version 1 to be there", 120,
    )  # fmt: skip
    assert platform.seen("mover")["url"] == journey.urls[0]


def test_a_saved_model_that_does_not_load_inside_seldon_is_told_at_once(journey, platform):
    platform.mlflow.alias(journey.model, platform.environment("prod"), 5)
    seen = platform.wait(
        journey.model, lambda d: d["state"] == "Degraded", platform.environment("prod"), 300
    )
    assert seen["reason"] == "LoadError"
    assert "cannot open the vault" in seen["message"]
    assert "hunter2" not in str(seen)
    assert seen["serving"] == {"version": "1"}
