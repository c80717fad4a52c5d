"""What the chart model-server makes of a model that answers a queue."""

import json

import pytest

from deployer.targets.kubernetes.render.charts import Charts, RenderError
from serving.predictor import read


def test_the_server_reads_what_the_chart_says_of_the_queue(render, one, tmp_path):
    text = one(render("model-server", "queue"), "ConfigMap")["data"]["predictor.json"]
    file = tmp_path / "predictor.json"
    file.write_text(text)
    queue = read(str(file)).queue
    assert queue is not None
    assert (queue.source, queue.dead_letter) == ("angler.prod", "angler.prod.dead")
    assert [one.routing_key for one in queue.results] == ["angler.prod.results", "{prediction}"]
    assert (queue.prefetch, queue.attempts) == (32, 3)


def test_only_the_server_sees_the_brokers_address(render, one):
    pod = one(render("model-server", "queue"), "Deployment")["spec"]["template"]["spec"]
    [volume] = [each for each in pod["volumes"] if each["name"] == "broker"]
    assert volume["secret"]["secretName"] == "rabbitmq"
    [server], [fetch] = pod["containers"], pod["initContainers"]
    assert "broker" in [mount["name"] for mount in server["volumeMounts"]]
    assert "broker" not in [mount["name"] for mount in fetch["volumeMounts"]]


def test_a_pod_starts_before_it_has_a_share(render, one):
    manifests = render("model-server", "queue")
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    [volume] = [each for each in pod["volumes"] if each["name"] == "configuration"]
    [shares] = [
        s["configMap"] for s in volume["projected"]["sources"] if "optional" in s["configMap"]
    ]
    assert shares["name"] == "angler--prod"
    assert shares["items"] == [{"key": "angler-prod-v3-9f8e7d6c", "path": "share.json"}]
    file = json.loads(one(manifests, "ConfigMap")["data"]["predictor.json"])
    assert file["queue"]["share_file"] == "/etc/schnitzel/share.json"


def test_who_scales_by_messages_says_how_many(render, one):
    for case in ("queue", "keda"):
        assert "replicas" not in one(render("model-server", case), "Deployment")["spec"]


def test_keda_reads_the_queue_with_the_servers_own_secret(render, one):
    manifests = render("model-server", "keda")
    scaled = one(manifests, "ScaledObject")["spec"]
    [trigger] = scaled["triggers"]
    assert trigger["metadata"]["queueName"] == "angler"
    owner = one(manifests, "Deployment")["metadata"]["name"]
    assert scaled["scaleTargetRef"]["name"] == trigger["authenticationRef"]["name"] == owner
    [secret] = one(manifests, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert (secret["name"], secret["key"]) == ("rabbitmq", "address")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"queue": None}, "keda needs queue"),
        ({"keda": {"minReplicas": 9, "maxReplicas": 8, "messages": 1}}, "more than maxReplicas"),
        ({"queue": {"source": ""}}, "queue must contain"),
    ],
)
def test_what_cannot_be_is_refused(values_of, changed, says):
    values = values_of("model-server", "keda") | changed
    with pytest.raises(RenderError, match=says):
        Charts().render("model-server", "release", "somewhere", values)
