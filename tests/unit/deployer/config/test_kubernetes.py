"""platform.yaml about clusters, environments on them, and a Deployer that runs in a pod."""

import json
from pathlib import Path

import pytest
from support.fixtures.settings import Write

from deployer.config.settings import Settings, load, main_settings
from deployer.errors import SettingsInvalid
from deployer.spec.limits import LocalLimits

CLUSTER = """
clusters:
  test:
    gateway: {name: public, namespace: gateway, url: "http://models.example/"}
    server_image: registry.example:5000/schnitzel/model-server:0.1.0
"""

ENVIRONMENTS = """
environments:
  staging: {stage: Staging, target: kubernetes, cluster: test}
  prod: {stage: Production, target: kubernetes, cluster: test, namespace: "{project}-{environment}"}
  laptop: {alias: laptop}
"""

FULL = """
clusters:
  test:
    kubeconfig: ~/kube/config
    context: admin@test
    gateway:
      name: public
      namespace: gateway
      section: https
      url: https://models.example
      probe_url: http://10.0.0.7:8000
    registry:
      push: registry.images.svc:5000/schnitzel
      pull: localhost:5000/schnitzel
      insecure: true
      pull_secret: pull
      push_secret: push
    build:
      namespace: builds
      image: localhost:5000/schnitzel/environment-builder:0.1.0
      timeout: 20m
      cpu: 2
      memory: 4Gi
      wheels_only: false
      index_secret: index
      artifact_secret: artifacts
      trust_bundle: {config_map: ca}
    server_image: localhost:5000/schnitzel/model-server:0.1.0
    artifacts: {tracking_uri: "http://mlflow.mlflow.svc:5000", secret: artifacts}
    trust_bundle: {config_map: ca, key: bundle.pem}
    gpu_resource: amd.com/gpu
    reach: proxy
"""


def test_a_cluster_needs_a_gateway_and_a_server_image_and_has_defaults(write: Write) -> None:
    write(CLUSTER + ENVIRONMENTS)
    settings = load()
    name = settings.environments["prod"].cluster
    assert name is not None
    cluster = settings.clusters[name]
    assert settings.environments["laptop"].cluster is None
    assert cluster.gateway.url == "http://models.example"
    assert cluster.registry is None
    assert cluster.build.namespace == "schnitzel-builds"
    assert cluster.build.wheels_only
    assert not cluster.in_cluster
    prod = settings.environments["prod"]
    assert (prod.drift, prod.drift_ignore) == ("correct", [])


def test_everything_that_can_be_said_of_a_cluster_is_kept(write: Write) -> None:
    write(FULL)
    cluster = load().clusters["test"]
    assert cluster.kubeconfig == Path.home() / "kube" / "config"
    assert cluster.build.timeout == 1200
    assert cluster.build.memory == 4 * 1024**3
    assert cluster.build.trust_bundle is not None
    assert cluster.build.trust_bundle.key == "ca.crt"
    assert cluster.registry is not None
    assert cluster.registry.pull == "localhost:5000/schnitzel"
    assert cluster.registry.push_reference(cluster.server_image) == (
        "registry.images.svc:5000/schnitzel/model-server:0.1.0"
    )
    assert cluster.registry.push_reference("nginx:1.29") == "nginx:1.29"


def test_settings_with_clusters_survive_being_printed_and_read_back(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        FULL
        + ENVIRONMENTS
        + "defaults: {kubernetes: {node_selector: {kubernetes.io/arch: amd64}}}\n"
    )
    settings = load()
    assert main_settings(as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert Settings.model_validate(printed) == settings
    assert main_settings(as_json=False) == 0
    text = capsys.readouterr().out
    assert 'clusters.test.reach = "proxy"  (platform.yaml)' in text
    assert 'node_selector.kubernetes.io/arch = "amd64"  (platform.yaml)' in text
    assert "clusters.test.in_cluster = false  (default)" in text


def test_in_a_pod_a_cluster_of_which_nothing_is_said_is_its_own(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CLUSTER)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    settings = load()
    assert settings.clusters["test"].in_cluster
    assert settings.origins["clusters.test.in_cluster"] == "KUBERNETES_SERVICE_HOST"
    for said in ("kubeconfig: /etc/kube/config", "context: other", "in_cluster: false"):
        write(f"{CLUSTER}    {said}\n")
        assert not load().clusters["test"].in_cluster


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (
            CLUSTER + "environments: {p: {alias: a, target: kubernetes}}",
            "line 6: environments.p needs a cluster, since its target is kubernetes",
            "",
        ),
        (
            CLUSTER + "environments: {p: {alias: a, cluster: test}}",
            "environments.p has a cluster, but its target is local",
            "",
        ),
        (
            CLUSTER + "environments: {p: {alias: a, target: kubernetes, cluster: tset}}",
            "should name clusters that there are: p.cluster is 'tset', and clusters has 'test'",
            "",
        ),
        (
            "environments: {p: {alias: a, target: kubernetes, cluster: test}}",
            "p.cluster is 'test', and clusters has none",
            "",
        ),
        ("clusters: {c: {}}", "clusters.c.gateway is missing", "routes prediction requests"),
        ("clusters: {C: {}}", "clusters.C.gateway is missing", "routes prediction requests"),
        (CLUSTER.replace("test:", "Test:"), "'Test' cannot be the name of a cluster", "clusters"),
        (
            CLUSTER + "    kubeconfig: kube/config",
            "clusters.test.kubeconfig should be a whole path",
            "kubectl's default",
        ),
        (
            CLUSTER + "    in_cluster: true\n    context: x",
            "clusters.test should have either in_cluster or a kubeconfig and context",
            "",
        ),
        (
            CLUSTER + "    registry: {push: 'a:1/x', pull: 'b:1/x'}",
            "clusters.test has a registry, and so needs build.image",
            "",
        ),
        (
            CLUSTER + "    registry: {push: 'http://a:1/x', pull: 'b:1/x'}",
            "clusters.test.registry.push should be HOST",
            "build",
        ),
        (
            CLUSTER + "    registry: {push: 'a/x', pull: 'b/x', password: hunter2}",
            "clusters.test.registry.password is not a known field",
            "",
        ),
        (
            CLUSTER + "    brokers: {rabbit: {secret: url}}\nbrokers: {default: {url_ref: env:A}}",
            "clusters.test.brokers names 'rabbit', and brokers has 'default'",
            "brokers.rabbit",
        ),
        (CLUSTER + "    reach: tunnel", "clusters.test.reach should be 'direct' or", "pod"),
        (
            "environments: {p: {alias: a, drift: mend}}",
            "environments.p.drift should be 'correct', 'report' or 'ignore'",
            "another writer",
        ),
        (
            "environments: {p: {alias: a, drift_ignore: [spec.replicas]}}",
            "should be JSON pointers such as '/spec/replicas', not 'spec.replicas'",
            "",
        ),
        (
            "environments: {p: {alias: a, namespace: kube-system}}",
            "environments.p.namespace should not begin with 'kube-'",
            "",
        ),
        ("environments: {kube-p: {alias: a}}", "has the namespace 'kube-p', and 'kube-'", ""),
        (
            "environments: {p: {alias: a, namespace: '{project}-" + "a" * 50 + "'}}",
            "too long for a cluster",
            "",
        ),
        ("deployer: {database_ref: 'postgresql://u:hunter2@db/x'}", "'env:NAME' or 'file:", ""),
        ("deployer: {webhook_secret_ref: hunter2}", "'env:NAME' or 'file:/path'", "webhooks"),
        ("deployer: {host: 'a b'}", "deployer.host should be an address", "listens"),
        ("deployer: {allowed_hosts: ['a:80']}", "should be a name without port", "names"),
        ("deployer: {public_url: 'https://u:hunter2@x'}", "no user or password", ""),
        ("limits: {secrets: team-*}", "limits.secrets should be a list", "patterns"),
    ],
)
def test_what_is_wrong_about_a_cluster_is_named(
    write: Write, text: str, says: str, hint: str
) -> None:
    path = write(text)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_cluster_can_be_set_by_variables(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(CLUSTER)
    monkeypatch.setenv("SCHNITZEL_CLUSTERS__TEST__GATEWAY__URL", "http://10.0.0.7")
    monkeypatch.setenv("SCHNITZEL_LIMITS__SECRETS", "[team-*]")
    settings = load()
    assert settings.clusters["test"].gateway.url == "http://10.0.0.7"
    assert settings.limits.secrets == ["team-*"]


def test_two_environments_may_share_a_namespace(write: Write) -> None:
    write(
        CLUSTER
        + "environments:\n"
        + "  a: {alias: a, target: kubernetes, cluster: test, namespace: models}\n"
        + "  b: {alias: b, target: kubernetes, cluster: test, namespace: models}\n"
    )
    settings = load()
    assert settings.namespace("a", "angler") == settings.namespace("b", "iris") == "models"


def test_a_namespace_is_made_of_environment_and_project(write: Write) -> None:
    write(CLUSTER + ENVIRONMENTS)
    settings = load()
    assert settings.namespace("staging", "angler") == "staging"
    assert settings.namespace("prod", "angler") == "angler-prod"


def test_only_a_cluster_holds_what_is_for_clusters(write: Write) -> None:
    write(CLUSTER + ENVIRONMENTS + "limits: {memory: 4Gi, secrets: [team-*]}\n")
    settings = load()
    whole = settings.limits.model_dump()
    held = settings.limits_for("prod").model_dump()
    assert held == {name: whole[name] for name in held}
    assert settings.limits_for("prod").pods
    local = settings.limits_for("laptop")
    assert isinstance(local, LocalLimits)
    assert not local.pods
    assert local.memory == 4 * 1024**3


def test_an_environment_demands_of_rollouts_otherwise_than_the_platform(write: Write) -> None:
    write(
        "limits: {rollout: {bake: 10m}}\n"
        "environments:\n"
        "  prod: {alias: a, limits: {rollout: {first_step: 5}}}\n"
        "  staging: {alias: b}\n"
    )
    settings = load()
    prod, staging = (settings.limits_for(name).rollout for name in ("prod", "staging"))
    assert (prod.first_step, prod.bake) == (5, None)
    assert (staging.first_step, staging.bake) == (None, 600)


def test_an_overlay_is_held_against_limits_but_not_against_what_a_version_may_add(
    write: Write,
) -> None:
    environment = "{alias: a, target: kubernetes, cluster: test, overlay: {%s}}"
    write(f"{CLUSTER}environments: {{p: {environment % 'autoscaling: {max: 4}'}}}")
    load()
    write(f"{CLUSTER}environments: {{p: {environment % 'autoscaling: {max: 40}'}}}")
    with pytest.raises(SettingsInvalid, match=r"autoscaling\.max is 40, but limits\.replicas"):
        load()


def test_a_laptop_needs_nothing_of_what_a_pod_needs(write: Write) -> None:
    write("")
    api = load().deployer
    assert (api.host, api.port, api.url) == ("127.0.0.1", 8090, "http://127.0.0.1:8090")
    assert api.hosts == ["127.0.0.1", "localhost"]
    assert api.database_ref is api.webhook_secret_ref is api.tokens_file is None


def test_a_deployer_in_a_pod_is_reached_by_its_names(write: Write) -> None:
    write(
        "deployer:\n"
        "  host: 0.0.0.0\n"
        "  public_url: https://deployer.example/\n"
        "  allowed_hosts: [schnitzel, '*.schnitzel.svc']\n"
        "  tokens_file: /var/run/schnitzel/tokens.json\n"
        "  webhook_secret_ref: file:/var/run/schnitzel/webhook\n"
        "  database_ref: env:DATABASE_URL\n"
    )
    api = load().deployer
    assert api.url == "https://deployer.example"
    assert api.hosts == [
        "127.0.0.1",
        "localhost",
        "schnitzel",
        "*.schnitzel.svc",
        "deployer.example",
    ]
    assert api.tokens_file == Path("/var/run/schnitzel/tokens.json")


def test_a_pod_that_keeps_no_home_is_told_its_platforms_id(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("")
    monkeypatch.setenv("SCHNITZEL_PLATFORM_ID", "0123456789ab")
    assert load().platform_id == "0123456789ab"
    assert not (tmp_path / "home" / "platform-id").exists()
    monkeypatch.setenv("SCHNITZEL_PLATFORM_ID", "Not One")
    with pytest.raises(SettingsInvalid, match="cannot be a platform's id"):
        load()
