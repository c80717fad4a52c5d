"""What a version may say about a cluster, and what an operator lets it."""

import warnings
from typing import Any

import pytest

from deployer.errors import SpecInvalid
from deployer.spec.limits import LocalLimits
from deployer.spec.model import Autoscaling, ServingSpec
from deployer.spec.resolve import Limits, notes, parse_serving_file, resolve, spec_digest

FILE = "serving.yaml"

EVERYTHING = """
autoscaling: {min: 2, max: 6, cpu_percent: 60}
resources: {cpu: 500m, memory: 2Gi, gpu: 1}
image: registry.example:5000/team-a/angler:1.2
kubernetes:
  node_selector: {kubernetes.io/arch: amd64, disk: ssd}
  tolerations:
    - {key: gpu, operator: Exists, effect: NoSchedule}
    - {key: dedicated, value: ml, effect: NoExecute, seconds: 5m}
  spread: zone
  disruption_budget: {min_available: "50%"}
  env:
    OMP_NUM_THREADS: "2"
    HF_TOKEN: {secret: team-a-hub, key: token}
  grace: 2m
  annotations: {example.com/owner: ann}
  pull_secrets: [team-a-pull]
  service_account: team-a
  probes: {startup_seconds: 20m}
"""

GENEROUS = Limits(
    gpu=2,
    secrets=["team-a-*"],
    pull_secrets=["team-a-pull"],
    service_accounts=["team-a"],
    images=["registry.example:5000/team-a/*"],
    node_selector=["kubernetes.io/arch", "disk=ssd"],
    tolerations=["gpu", "dedicated=ml"],
    annotations=["example.com/*"],
)


def kubernetes(**fields: Any) -> dict[str, Any]:
    return {"kubernetes": fields}


def refusal(layer: dict[str, Any], limits: Limits, origin: str = FILE) -> SpecInvalid:
    with pytest.raises(SpecInvalid) as caught:
        resolve([(origin, layer)], limits)
    return caught.value


def test_a_file_that_says_all_is_read_and_every_field_has_its_origin() -> None:
    layer = parse_serving_file(EVERYTHING)
    resolved = resolve([(FILE, layer)], GENEROUS)
    pods = resolved.spec.kubernetes
    assert pods.tolerations[1].seconds == 300
    assert pods.grace == 120
    assert resolved.origins["kubernetes.node_selector.kubernetes.io/arch"] == FILE
    assert resolved.origins["kubernetes.env.HF_TOKEN.secret"] == FILE
    assert resolved.origins["kubernetes.probes.startup_seconds"] == FILE
    assert resolved.origins["rollout.drain"] == "default"


def test_what_was_resolved_can_be_written_and_read_back_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = resolve([(FILE, parse_serving_file(EVERYTHING))], GENEROUS).spec
        again = ServingSpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)


@pytest.mark.parametrize(
    ("layer", "field", "value", "limit"),
    [
        (
            kubernetes(env={"K": {"secret": "payments", "key": "k"}}),
            "kubernetes.env.K.secret",
            "'payments'",
            "secrets",
        ),
        (kubernetes(pull_secrets=["a", "b"]), "kubernetes.pull_secrets", "'a'", "pull_secrets"),
        (
            kubernetes(service_account="admin"),
            "kubernetes.service_account",
            "'admin'",
            "service_accounts",
        ),
        ({"image": "nginx:1.29"}, "image", "'nginx:1.29'", "images"),
        (
            kubernetes(node_selector={"disk": "ssd"}),
            "kubernetes.node_selector.disk",
            "'disk=ssd'",
            "node_selector",
        ),
        (
            kubernetes(tolerations=[{"key": "gpu", "operator": "Exists"}]),
            "kubernetes.tolerations",
            "'gpu'",
            "tolerations",
        ),
        (
            kubernetes(annotations={"a.example/b": "c"}),
            "kubernetes.annotations.a.example/b",
            "'a.example/b=c'",
            "annotations",
        ),
    ],
)
def test_nothing_of_a_clusters_may_be_named_before_an_operator_allows_it(
    layer: dict[str, Any], field: str, value: str, limit: str
) -> None:
    error = refusal(layer, Limits())
    assert error.message == f"{FILE}: {field} is {value}, but limits.{limit} allows none."
    assert f"limits.{limit} in platform.yaml" in error.hint
    assert "operator" in error.hint
    resolve([(FILE, layer)], Limits.model_validate({limit: ["*"]}))
    told = refusal(layer, Limits.model_validate({limit: ["other", "x-*"]}))
    assert told.message.endswith(f"limits.{limit} allows other, x-*.")


def test_gpus_are_for_those_whom_an_operator_lets() -> None:
    layer = {"resources": {"gpu": 2}}
    assert "resources.gpu is 2, but limits.gpu is 0" in refusal(layer, Limits()).message
    assert "limits.gpu is 1" in refusal(layer, Limits(gpu=1)).message
    assert resolve([(FILE, layer)], Limits(gpu=2)).spec.resources.gpu == 2


def test_a_secret_to_pull_with_is_not_one_to_read() -> None:
    layer = kubernetes(env={"K": {"secret": "pull", "key": ".dockerconfigjson"}})
    assert "limits.secrets allows none" in refusal(layer, Limits(pull_secrets=["pull"])).message


@pytest.mark.parametrize(
    ("toleration", "patterns", "allowed"),
    [
        ({"key": "gpu", "operator": "Exists"}, ["gpu"], True),
        ({"key": "gpu", "value": "a100"}, ["gpu"], True),
        ({"key": "gpu", "value": "a100"}, ["gpu=a100"], True),
        ({"key": "gpu", "value": "h100"}, ["gpu=a100"], False),
        ({"key": "gpu", "operator": "Exists"}, ["gpu=a100"], False),
        ({"operator": "Exists"}, ["gpu", "dedicated=*", "?*"], False),
        ({"operator": "Exists"}, ["*"], True),
    ],
)
def test_a_taint_is_tolerated_by_key_or_by_key_and_value(
    toleration: dict[str, Any], patterns: list[str], allowed: bool
) -> None:
    layer = kubernetes(tolerations=[toleration])
    limits = Limits(tolerations=patterns)
    if allowed:
        resolve([(FILE, layer)], limits)
    else:
        assert "limits.tolerations allows" in refusal(layer, limits).message


def test_the_operators_own_layers_need_no_list() -> None:
    own = kubernetes(env={"K": {"secret": "payments", "key": "k"}}, service_account="prod")
    for origin in ("platform.yaml: defaults", "environment prod"):
        assert resolve([(origin, own)], Limits()).spec.kubernetes.service_account == "prod"
    # That opens nothing for a version's file, whether it says the same or something beside it.
    for stack in ([("platform.yaml: defaults", own), (FILE, own)], [(FILE, own)]):
        with pytest.raises(SpecInvalid, match=r"limits\.service_accounts allows none"):
            resolve(stack, Limits())
    other = kubernetes(env={"L": {"secret": "payments", "key": "k"}})
    with pytest.raises(SpecInvalid, match=r"kubernetes\.env\.L\.secret is 'payments'"):
        resolve([(FILE, other), ("environment prod", own)], Limits())


def test_numbers_hold_for_everybody() -> None:
    error = refusal({"resources": {"gpu": 1}}, Limits(), "environment prod")
    assert error.message.startswith("environment prod: resources.gpu is 1")


def test_on_this_machine_a_file_for_a_cluster_deploys_and_says_what_is_left_aside() -> None:
    limits = LocalLimits()
    resolved = resolve([(FILE, parse_serving_file(EVERYTHING))], limits)
    told = notes(resolved.spec, "local", prometheus=False)
    assert told[0] == "autoscaling asks for 2 to 6 replicas; this machine runs 2."
    assert told[1].startswith("resources.gpu is 1; this machine reserves none")
    assert told[2].startswith("image is for a cluster")
    assert "kubernetes.env, kubernetes.grace" in told[3]
    assert notes(resolved.spec, "kubernetes", prometheus=False) == []
    assert notes(ServingSpec(), "local", prometheus=False) == []
    assert notes(ServingSpec(replicas=3), "local", prometheus=False) == []


def test_on_this_machine_the_limits_that_mean_something_still_hold() -> None:
    with pytest.raises(SpecInvalid, match=r"limits\.memory is 1Gi"):
        resolve([(FILE, {"resources": {"memory": "2Gi"}})], LocalLimits(memory=1024**3))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (kubernetes(env={"DB_PASSWORD": "hunter2"}), "DB_PASSWORD looks like a secret"),
        (kubernetes(env={"hf_token": "hunter2"}), "hf_token looks like a secret"),
        (kubernetes(env={"OPENAI_API_KEY": "hunter2"}), "looks like a secret"),
        (kubernetes(env={"DSN": "postgres://u:hunter2@db/x"}), "DSN looks like a secret"),
        (kubernetes(env={"API_KEY": 12345}), "kubernetes.env.API_KEY should be text"),
        (kubernetes(env={"X": {"secret": "a"}}), "{secret: NAME, key: KEY}"),
        (kubernetes(env={"X": {"secret": "A_b", "key": "k"}}), "{secret: NAME, key: KEY}"),
        (kubernetes(env={"X": {"secret": "a", "key": "k", "value": "v"}}), "name a key"),
        (kubernetes(env={"1X": "a"}), "1X cannot be the name of a variable"),
        (kubernetes(env={"LD_PRELOAD": "/x.so"}), "LD_PRELOAD is set by Schnitzel itself"),
        (kubernetes(env={"PYTHONPATH": "/x"}), "PYTHONPATH is set by Schnitzel itself"),
        (kubernetes(annotations={"schnitzel.dev/digest": "x"}), "is Schnitzel's own"),
        (kubernetes(annotations={"a b": "x"}), "'example.com/disk'"),
        (kubernetes(node_selector={"disk": True}), "disk should be text"),
        (kubernetes(node_selector={"disk": "a b"}), "should be a label's value"),
        (kubernetes(tolerations=[{"valu": "x"}]), "kubernetes.tolerations.0.valu is not a known"),
        (kubernetes(tolerations=[{"value": "x"}]), "should have a key, or operator Exists"),
        (
            kubernetes(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
            "should have no value",
        ),
        (kubernetes(tolerations=[{"key": "a", "seconds": 3}]), "only with effect NoExecute"),
        (kubernetes(spread="rack"), "kubernetes.spread should be 'hostname' or 'zone'"),
        (kubernetes(disruption_budget={}), "either min_available or max_unavailable"),
        (
            kubernetes(disruption_budget={"min_available": 1, "max_unavailable": 1}),
            "either min_available or max_unavailable",
        ),
        (kubernetes(disruption_budget={"min_available": "half"}), "such as '50%', not 'half'"),
        (kubernetes(service_account="Team A"), "should be the name of a Kubernetes object"),
        (kubernetes(grace="2h"), "kubernetes.grace should be at most 3600"),
        ({"image": "nginx"}, "image should be an image by its tag"),
        ({"image": "nginx:latest"}, "other than 'latest'"),
        ({"image": "https://registry.example/a:1"}, "image should be an image by its tag"),
        ({"autoscaling": {"min": 2}}, "autoscaling.max is missing"),
        ({"autoscaling": {"min": 4, "max": 2}}, "a max of at least its min, 4"),
        ({"autoscaling": {"max": 4}, "replicas": 2}, "either replicas or autoscaling, not both"),
        ({"resources": {"gpu": 0.5}}, "resources.gpu should be a whole number"),
    ],
)
def test_a_wrong_field_is_refused_and_no_secret_repeated(layer: dict[str, Any], says: str) -> None:
    everything = Limits(**{name: ["*"] for name in LISTS})
    error = refusal(layer, everything)
    assert says in error.message
    assert error.message.startswith(f"{FILE}: ")
    assert "hunter2" not in error.message + error.hint
    assert "12345" not in error.message + error.hint


LISTS = (
    "secrets",
    "pull_secrets",
    "service_accounts",
    "images",
    "node_selector",
    "tolerations",
    "annotations",
)


@pytest.mark.parametrize(
    "image",
    [
        "nginx:1.29",
        "registry.example:5000/team/model@sha256:" + "a" * 64,
        "localhost:5000/a/b_c/d-e:v1@sha256:" + "0" * 64,
    ],
)
def test_an_image_is_named_by_tag_or_digest(image: str) -> None:
    assert resolve([(FILE, {"image": image})], Limits(images=["*"])).spec.image == image


def test_a_field_of_a_toleration_that_is_mistyped_is_guessed() -> None:
    assert refusal(kubernetes(tolerations=[{"valu": "x"}]), Limits()).hint == (
        "Did you mean 'value'?"
    )


def test_the_later_way_to_count_replicas_wins() -> None:
    scaling = {"autoscaling": {"min": 2, "max": 5, "cpu_percent": 50}, "resources": {"cpu": 1}}
    fixed = resolve([(FILE, scaling), ("environment prod", {"replicas": 3})], Limits())
    assert fixed.spec.autoscaling is None
    assert fixed.spec.replicas == 3
    assert fixed.origins["autoscaling"] == "environment prod"
    scaled = resolve([("platform.yaml: defaults", {"replicas": 3}), (FILE, scaling)], Limits())
    assert scaled.spec.autoscaling is not None
    assert scaled.spec.replicas == 1
    assert scaled.origins["replicas"] == "default"


def test_a_later_autoscaling_takes_the_place_of_all_of_an_earlier_one() -> None:
    first = {"autoscaling": {"min": 2, "max": 5, "cpu_percent": 50}, "resources": {"cpu": 1}}
    resolved = resolve([(FILE, first), ("environment prod", {"autoscaling": {"max": 9}})], Limits())
    assert resolved.spec.autoscaling is not None
    assert resolved.spec.autoscaling == Autoscaling(min=1, max=9, cpu_percent=70)
    assert resolved.origins["autoscaling.cpu_percent"] == "environment prod"


def test_a_later_budget_takes_the_place_of_an_earlier_one() -> None:
    layers = [
        (FILE, kubernetes(disruption_budget={"min_available": 1}) | {"replicas": 3}),
        ("environment prod", kubernetes(disruption_budget={"max_unavailable": 1})),
    ]
    budget = resolve(layers, Limits()).spec.kubernetes.disruption_budget
    assert budget is not None
    assert (budget.min_available, budget.max_unavailable) == (None, 1)


def test_variables_of_several_layers_come_together_and_a_text_replaces_a_reference() -> None:
    layers = [
        ("platform.yaml: defaults", kubernetes(env={"A": {"secret": "s", "key": "k"}, "B": "1"})),
        (FILE, kubernetes(env={"A": "plain", "C": "2"})),
    ]
    assert resolve(layers, Limits()).spec.kubernetes.env == {"A": "plain", "B": "1", "C": "2"}


def test_autoscaling_is_bounded_like_replicas() -> None:
    layer = {"autoscaling": {"max": 17}, "resources": {"cpu": 1}}
    assert "autoscaling.max is 17, but limits.replicas is 16" in refusal(layer, Limits()).message


def test_autoscaling_needs_something_to_go_by() -> None:
    layer = {"autoscaling": {"max": 4}}
    assert "autoscaling needs resources.cpu" in refusal(layer, Limits()).message
    assert resolve([(FILE, layer)], Limits(cpu=2)).spec.resources.cpu == 2
    resolve([("environment prod", layer)], Limits(), whole=False)  # a version's file may bring it


@pytest.mark.parametrize(
    ("replicas", "budget", "fits"),
    [
        (1, {"min_available": 1}, False),
        (2, {"min_available": 1}, True),
        (1, {"min_available": "50%"}, False),
        (2, {"min_available": "50%"}, True),
        (3, {"min_available": "80%"}, False),
        (4, {"min_available": "100%"}, False),
        (1, {"max_unavailable": 1}, True),
        (3, {"max_unavailable": 0}, False),
        (3, {"max_unavailable": "0%"}, False),
        (3, {"max_unavailable": "10%"}, True),
    ],
)
def test_a_budget_that_would_hold_a_node_for_ever_is_refused(
    replicas: int, budget: dict[str, Any], fits: bool
) -> None:
    layer = {"replicas": replicas} | kubernetes(disruption_budget=budget)
    if fits:
        resolve([(FILE, layer)], Limits())
    else:
        assert f"lets none of {replicas} go" in refusal(layer, Limits()).message


def test_a_grace_shorter_than_the_drain_is_refused() -> None:
    layer = kubernetes(grace="10s") | {"rollout": {"drain": "30s"}}
    assert "kubernetes.grace is 10s, less than rollout.drain, 30s" in (
        refusal(layer, Limits()).message
    )


def test_a_startup_longer_than_a_version_may_load_is_refused() -> None:
    error = refusal(kubernetes(probes={"startup_seconds": "2h"}), Limits())
    assert "startup_seconds is 2h, but limits.ready_timeout is 1h" in error.message
