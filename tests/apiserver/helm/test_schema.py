"""A value that cannot be is refused before anything is applied, and named."""

import json
import subprocess

import pytest

from deployer.targets.kubernetes.render.charts import RenderError

SCALING = {"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}

SERVER = [
    ({"replica": 3}, "replica"),
    ({"replicas": "three"}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"model": ""}, "model"),
    ({"model": 3}, "model"),
    ({"modelVersion": 3}, "modelVersion"),
    ({"modelVersion": "a b"}, "modelVersion"),
    ({"image": ""}, "image"),
    ({"image": "two words"}, "image"),
    ({"image": "with/a/line\n"}, "image"),
    ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy"),
    ({"imagePullSecrets": [""]}, "imagePullSecrets"),
    ({"predictor": "Angler"}, "predictor"),
    ({"predictor": "a" * 51}, "predictor"),
    ({"deployment": "-angler"}, "deployment"),
    ({"environment": "Prod"}, "environment"),
    ({"platform": "a platform"}, "platform"),
    ({"digest": "xyz"}, "digest"),
    ({"artifact": {"uri": ""}}, "artifact.uri"),
    ({"artifact": {"uri": "/mnt/models"}}, "artifact.uri"),
    ({"artifact": {"trackingUri": ""}}, "artifact.trackingUri"),
    ({"artifact": {"trackingUri": "mlflow:5000"}}, "artifact.trackingUri"),
    ({"artifact": {"digest": "1234"}}, "artifact.digest"),
    ({"artifact": {"password": "x"}}, "password"),
    ({"artifact": None}, "artifact"),
    ({"server": {"maxBodyBytes": "16Mi"}}, "server.maxBodyBytes"),
    ({"server": {"timeoutSeconds": 0}}, "server.timeoutSeconds"),
    ({"server": {"drainSeconds": -1}}, "server.drainSeconds"),
    ({"server": {"batching": {"maxRows": 0}}}, "server.batching.maxRows"),
    ({"server": {"batching": {"enabled": "yes"}}}, "server.batching.enabled"),
    ({"server": {"python": "python3"}}, "server.python"),
    ({"autoscaling": {"minReplicas": 1}}, "autoscaling"),
    ({"autoscaling": SCALING}, "autoscaling needs resources.cpu"),
    (
        {"autoscaling": SCALING | {"minReplicas": 4}, "resources": {"cpu": "1"}},
        "autoscaling.minReplicas",
    ),
    ({"resources": {"cpu": 2}}, "resources.cpu"),
    ({"resources": {"memory": "2 GB"}}, "resources.memory"),
    ({"resources": {"gpu": "1"}}, "resources.gpu"),
    ({"resources": {"gpuResource": "gpu"}}, "resources.gpuResource"),
    ({"resources": {"limits": {}}}, "limits"),
    ({"volumes": {"model": 20}}, "volumes.model"),
    ({"nodeSelector": {"disk": 1}}, "nodeSelector.disk"),
    ({"tolerations": [{"keys": "a"}]}, "tolerations[0]"),
    ({"tolerations": [{"effect": "Never"}]}, "tolerations[0].effect"),
    ({"spread": "rack"}, "spread"),
    ({"disruptionBudget": {}}, "disruptionBudget"),
    ({"disruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "disruptionBudget"),
    ({"disruptionBudget": {"minAvailable": "half"}}, "disruptionBudget.minAvailable"),
    ({"env": [{"value": "x"}]}, "env[0]"),
    ({"env": [{"name": "A"}]}, "env[0]"),
    ({"env": [{"name": "A", "value": "x", "secret": "s", "key": "k"}]}, "env[0]"),
    ({"env": [{"name": "A", "secret": "s"}]}, "env[0]"),
    ({"env": [{"name": "A-B", "value": "x"}]}, "env[0].name"),
    ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "env names A twice"),
    (
        {
            "env": [{"name": "SSL_CERT_FILE", "value": "x"}],
            "trustBundle": {"configMap": "ca", "key": "ca.crt"},
        },
        "env names SSL_CERT_FILE",
    ),
    ({"probes": {"startupSeconds": 0}}, "probes.startupSeconds"),
    ({"probes": {"silentSeconds": 1}}, "probes.silentSeconds"),
    ({"terminationGracePeriodSeconds": 7201}, "terminationGracePeriodSeconds"),
    ({"podAnnotations": {"note": True}}, "podAnnotations.note"),
    ({"annotations": {"schnitzel.dev/model": "x"}}, "annotations"),
    ({"labels": {"app.kubernetes.io/name": "x"}}, "labels"),
    ({"podLabels": {"schnitzel.dev/predictor": "x"}}, "podLabels"),
    ({"labels": {"team": "not a label"}}, "labels.team"),
    ({"serviceAccountName": "No"}, "serviceAccountName"),
    ({"priorityClassName": "No"}, "priorityClassName"),
    ({"trustBundle": {"configMap": "ca"}}, "trustBundle"),
    ({"trustBundle": {"configMap": "ca", "key": "../x"}}, "trustBundle.key"),
]

BATCHING = {"server": {"batching": {"maxRows": 64}}}

TFSERVING = [
    ({"tfserving": {"image": ""}}, "tfserving.image"),
    ({"tfserving": {"images": "x"}}, "images"),
    ({"tfserving": {"savedModel": "/saved"}}, "tfserving.savedModel"),
    ({"tfserving": {"savedModel": "a/../b"}}, "tfserving.savedModel"),
    ({"tfserving": {"labels": ["two words"]}}, "tfserving.labels[0]"),
    ({"tfserving": {"batching": {"threads": 0}}}, "tfserving.batching.threads"),
    ({"tfserving": {"batching": {"timeout": 0}}}, "timeout"),
    (
        {"tfserving": {"batching": {"allowedBatchSizes": [16, 32]}}} | BATCHING,
        "the last of tfserving.batching.allowedBatchSizes",
    ),
    ({"tfserving": {"arguments": ["--flag"]}}, "tfserving.arguments[0]"),
    ({"tfserving": {"arguments": ["--port=1"]}}, "tfserving.arguments names --port"),
    ({"modelVersion": "three"}, "modelVersion"),
    ({"modelVersion": "0"}, "modelVersion"),
    ({"model": "a/b"}, "TensorFlow Serving takes no name with"),
    ({"server": {"python": "/opt/env/bin/python"}}, "python"),
    ({"server": {"memory": 512}}, "server.memory"),
    ({"autoscaling": SCALING}, "autoscaling needs resources.cpu"),
    ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "env names A twice"),
]

HERE = {"target": "kubernetes", "cluster": "here"}

PLATFORM = [
    ({"image": ""}, "image"),
    ({"images": "x"}, "images"),
    ({"platformId": ""}, "platformId"),
    ({"platformId": "My platform"}, "platformId"),
    ({"platformId": "a" * 41}, "platformId"),
    ({"namespaces": []}, "namespaces"),
    ({"namespaces": ["staging"]}, 'namespaces lacks "prod"'),
    ({"settings": {"environments": {"prod": {"namespace": "{project}"}}}}, "rbac.clusterWide"),
    (
        {
            "settings": {"environments": {"prod": {"namespace": "{project}"}}},
            "rbac": {"clusterWide": True},
        },
        'buildNamespace must be "schnitzel-builds"',
    ),
    (
        {"settings": {"clusters": {"here": {"registry": {"push": "a", "pull": "a"}}}}},
        'buildNamespace must be "schnitzel-builds"',
    ),
    ({"namespaces": ["Staging"]}, "namespaces[0]"),
    ({"buildNamespace": "-"}, "buildNamespace"),
    ({"settings": {"environment": {}}}, "environment"),
    ({"settings": {"environments": {"prod": {"stages": "Production"}}}}, "stages"),
    ({"settings": {"environments": {"prod": {"target": "local"}}}}, "environments.prod.target"),
    ({"settings": {"environments": {"prod": {"cluster": "there"}}}}, "environments.prod.cluster"),
    ({"settings": {"clusters": {"here": {"gateway": {"port": 80}}}}}, "here"),
    ({"settings": {"registry": {"webhooks": "maybe"}}}, "webhooks"),
    ({"settings": {"deployer": {"port": 1234}}}, "settings.deployer.port"),
    ({"settings": {"deployer": {"database_ref": "env:X"}}}, "settings.deployer.database_ref"),
    ({"settings": {"mlflow": {"url": None}}}, "settings.mlflow.url"),
    ({"replicas": 2}, "database"),
    ({"replicas": 2, "database": {"secret": "s", "key": "url"}}, "webhookSecret"),
    ({"replicas": 10}, "replicas"),
    ({"tokens": "a-token"}, "tokens"),
    ({"tokens": {"secret": "schnitzel"}}, "tokens"),
    ({"database": {"url": "postgresql://u:p@h/d"}}, "database"),
    ({"webhookSecret": {"secret": "", "key": "k"}}, "webhookSecret.secret"),
    ({"env": [{"name": "SCHNITZEL_HOME", "value": "/"}]}, "env names SCHNITZEL_HOME"),
    ({"env": [{"name": "A", "value": "x"}, {"name": "A", "value": "y"}]}, "env names A twice"),
    ({"trustBundle": {"key": "ca.crt"}}, "trustBundle"),
    ({"persistence": {"size": 1}}, "persistence.size"),
    ({"persistence": {"enabled": "no"}}, "persistence.enabled"),
    ({"resources": {"cpu": 1}}, "resources.cpu"),
    ({"serviceAccount": {"create": "x"}}, "serviceAccount.create"),
    ({"rbac": {"cluster": True}}, "rbac"),
    ({"service": {"port": 0}}, "service.port"),
    ({"service": {"publicUrl": "deployer"}}, "service.publicUrl"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
    ({"httpRoute": {"parentRefs": [{"gateway": "x"}]}}, "httpRoute.parentRefs[0]"),
    ({"crds": {"install": True}}, "crds"),
    ({"networkPolicy": {"from": [{"pods": {}}]}}, "networkPolicy.from[0]"),
    ({"podDisruptionBudget": {"enabled": True}}, "podDisruptionBudget.enabled"),
    ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "metrics.serviceMonitor.interval"),
    ({"metrics": {"dashboard": True}}, "metrics"),
    ({"mlflow": {"enabled": True}, "settings": {"mlflow": {"url": None}}}, "mlflow.image"),
    ({"mlflow": {"enabled": True, "image": "x"}}, "settings.mlflow.url and mlflow.enabled"),
    ({"mlflow": {"command": "mlflow"}}, "mlflow.command"),
    ({"mlflow": {"workers": 0}}, "mlflow.workers"),
]

# The chart seldon takes what model-server takes, but an autoscaler; and says more.
SELDON = [
    *((over, named) for over, named in SERVER if "autoscaling" not in over),
    ({"autoscaling": SCALING}, "autoscaling"),
    ({"shape": "other"}, "shape"),
    ({"shape": "microservice"}, "microservice.image"),
    ({"microservice": {"threads": 0}}, "microservice.threads"),
    ({"named": {"server": "mine"}}, "named.server"),
    ({"shape": "tensorflow", "modelVersion": "v3"}, "modelVersion"),
    ({"tensorflow": {"savedModel": "../other"}}, "tensorflow.savedModel"),
    ({"tensorflow": {"args": ["no-flag"]}}, "tensorflow.args[0]"),
    ({"shape": "named", "trustBundle": {"configMap": "ca", "key": "ca.crt"}}, "trustBundle"),
    ({"parameters": [{"name": "a", "value": 1, "type": "INT"}]}, "parameters[0].value"),
    ({"parameters": [{"name": "a", "value": "1", "type": "int"}]}, "parameters[0].type"),
    (
        {
            "shape": "tensorflow",
            "parameters": [{"name": "model_name", "value": "x", "type": "STRING"}],
        },
        "parameters names model_name",
    ),
    ({"sidecar": {"gpu": 1}}, "gpu"),
    ({"podAnnotations": {"seldon.io/no-engine": "false"}}, "podAnnotations"),
    ({"podLabels": {"seldon-app": "x"}}, "podLabels"),
    *(
        ({"env": [{"name": name, "value": "1"}]}, f"env names {name}")
        for name in (
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
            "PREDICTIVE_UNIT_PARAMETERS",
            "MLSERVER_HTTP_PORT",
            "MLSERVER_MODEL_URI",
            "SELDON_DEPLOYMENT_ID",
            "PREDICTOR_ID",
            "SCHNITZEL_SOCKET",
        )
    ),
]

BAD = [
    *(("model-server", *bad) for bad in SERVER),
    *(("seldon", *bad) for bad in SELDON),
    *(("tfserving", *bad) for bad in TFSERVING),
    *(("schnitzel", *bad) for bad in PLATFORM),
]


@pytest.mark.parametrize(("which", "over", "named"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_value_is_refused_by_name(render, which, over, named):
    with pytest.raises(RenderError) as refused:
        render(which, **over)
    assert named in refused.value.message
    assert refused.value.message.startswith(f"The chart {which} refuses its values: ")
    assert refused.value.hint


@pytest.mark.parametrize(("which", "over", "named"), BAD, ids=lambda value: str(value)[:60])
def test_helm_itself_refuses_it_as_well(helm, folder, values_of, tmp_path, which, over, named):
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(values_of(which, **over)))
    command = [helm, "template", "release", folder / which, "-f", path, "-n", "somewhere"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert named.split(".")[-1].split("[")[0].split()[-1].strip('"') in done.stderr


def test_fields_that_are_another_kind_of_one_are_not_taken(render):
    """JSON Schema calls 1.0 an integer, and true none."""
    render("model-server", replicas=1.0)
    with pytest.raises(RenderError, match="replicas"):
        render("model-server", replicas=True)
