"""Build the CRD of the stand-in: what the API server takes of a SeldonDeployment.

A small structural schema. It knows the fields of a container and of a pod as they were some years
ago, so that later ones (a sidecar's `restartPolicy`, a hook's `sleep`) are refused as fields that
are not declared; what is deeper than our charts go is let through.
"""

from __future__ import annotations

from typing import Any

NAME = "seldondeployments.machinelearning.seldon.io"
API_VERSION = "machinelearning.seldon.io/v1"

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_SWITCH: Schema = {"type": "boolean"}
_OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_EITHER: Schema = {"x-kubernetes-int-or-string": True}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}


def _many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _of(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": list(required)} if required else {})


_HTTP_GET = _of(
    ("port",), host=_TEXT, httpHeaders=_many(_OPEN), path=_TEXT, port=_EITHER, scheme=_TEXT
)
_HOOK = _of(exec=_of(command=_many(_TEXT)), httpGet=_HTTP_GET, tcpSocket=_OPEN)
_PROBE = _of(
    exec=_of(command=_many(_TEXT)),
    failureThreshold=_NUMBER,
    grpc=_OPEN,
    httpGet=_HTTP_GET,
    initialDelaySeconds=_NUMBER,
    periodSeconds=_NUMBER,
    successThreshold=_NUMBER,
    tcpSocket=_of(("port",), host=_TEXT, port=_EITHER),
    terminationGracePeriodSeconds=_NUMBER,
    timeoutSeconds=_NUMBER,
)
_PORT = _of(
    ("containerPort",),
    containerPort=_NUMBER,
    hostIP=_TEXT,
    hostPort=_NUMBER,
    name=_TEXT,
    protocol={"type": "string", "default": "TCP"},
)
_AMOUNTS: Schema = {"type": "object", "additionalProperties": _EITHER}
_CONTAINER = _of(
    ("name",),
    args=_many(_TEXT),
    command=_many(_TEXT),
    env=_many(_of(("name",), name=_TEXT, value=_TEXT, valueFrom=_OPEN)),
    envFrom=_many(_OPEN),
    image=_TEXT,
    imagePullPolicy=_TEXT,
    lifecycle=_of(postStart=_HOOK, preStop=_HOOK),
    livenessProbe=_PROBE,
    name=_TEXT,
    ports=_many(_PORT)
    | {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
    },
    readinessProbe=_PROBE,
    resources=_of(limits=_AMOUNTS, requests=_AMOUNTS),
    securityContext=_of(
        allowPrivilegeEscalation=_SWITCH,
        capabilities=_of(add=_many(_TEXT), drop=_many(_TEXT)),
        privileged=_SWITCH,
        procMount=_TEXT,
        readOnlyRootFilesystem=_SWITCH,
        runAsGroup=_NUMBER,
        runAsNonRoot=_SWITCH,
        runAsUser=_NUMBER,
        seLinuxOptions=_OPEN,
        seccompProfile=_OPEN,
        windowsOptions=_OPEN,
    ),
    startupProbe=_PROBE,
    stdin=_SWITCH,
    stdinOnce=_SWITCH,
    terminationMessagePath=_TEXT,
    terminationMessagePolicy=_TEXT,
    tty=_SWITCH,
    volumeDevices=_many(_OPEN),
    volumeMounts=_many(
        _of(
            ("mountPath", "name"),
            mountPath=_TEXT,
            mountPropagation=_TEXT,
            name=_TEXT,
            readOnly=_SWITCH,
            subPath=_TEXT,
            subPathExpr=_TEXT,
        )
    ),
    workingDir=_TEXT,
)
_POD = _of(
    activeDeadlineSeconds=_NUMBER,
    affinity=_OPEN,
    automountServiceAccountToken=_SWITCH,
    containers=_many(_CONTAINER),
    dnsConfig=_OPEN,
    dnsPolicy=_TEXT,
    enableServiceLinks=_SWITCH,
    ephemeralContainers=_many(_OPEN),
    hostAliases=_many(_OPEN),
    hostIPC=_SWITCH,
    hostNetwork=_SWITCH,
    hostPID=_SWITCH,
    hostname=_TEXT,
    imagePullSecrets=_many(_of(name=_TEXT)),
    initContainers=_many(_CONTAINER),
    nodeName=_TEXT,
    nodeSelector=_TEXTS,
    overhead=_AMOUNTS,
    preemptionPolicy=_TEXT,
    priority=_NUMBER,
    priorityClassName=_TEXT,
    readinessGates=_many(_OPEN),
    restartPolicy=_TEXT,
    runtimeClassName=_TEXT,
    schedulerName=_TEXT,
    securityContext=_of(
        fsGroup=_NUMBER,
        fsGroupChangePolicy=_TEXT,
        runAsGroup=_NUMBER,
        runAsNonRoot=_SWITCH,
        runAsUser=_NUMBER,
        seLinuxOptions=_OPEN,
        seccompProfile=_of(("type",), localhostProfile=_TEXT, type=_TEXT),
        supplementalGroups=_many(_NUMBER),
        sysctls=_many(_OPEN),
        windowsOptions=_OPEN,
    ),
    serviceAccount=_TEXT,
    serviceAccountName=_TEXT,
    setHostnameAsFQDN=_SWITCH,
    shareProcessNamespace=_SWITCH,
    subdomain=_TEXT,
    terminationGracePeriodSeconds=_NUMBER,
    tolerations=_many(
        _of(effect=_TEXT, key=_TEXT, operator=_TEXT, tolerationSeconds=_NUMBER, value=_TEXT)
    ),
    topologySpreadConstraints=_many(
        _of(
            ("maxSkew", "topologyKey", "whenUnsatisfiable"),
            labelSelector=_OPEN,
            maxSkew=_NUMBER,
            topologyKey=_TEXT,
            whenUnsatisfiable=_TEXT,
        )
    ),
    volumes=_many(_OPEN),
)
_UNIT: dict[str, Schema] = {
    "endpoint": _OPEN,
    "envSecretRefName": _TEXT,
    "implementation": _TEXT,
    "logger": _OPEN,
    "methods": _many(_TEXT),
    "modelUri": _TEXT,
    "name": _TEXT,
    "parameters": _many(_of(("name", "type", "value"), name=_TEXT, type=_TEXT, value=_TEXT)),
    "serviceAccountName": _TEXT,
    "storageInitializerImage": _TEXT,
    "type": _TEXT,
}
_PREDICTOR = _of(
    ("graph", "name"),
    annotations=_TEXTS,
    componentSpecs=_many(
        _of(
            hpaSpec=_OPEN, kedaSpec=_OPEN, metadata=_OPEN, pdbSpec=_OPEN, replicas=_NUMBER,
            spec=_POD,
        )
    ),
    engineResources=_OPEN,
    explainer=_OPEN,
    graph=_of(("name",), **_UNIT, children=_many(_OPEN)),
    labels=_TEXTS,
    name=_TEXT,
    progressDeadlineSeconds=_NUMBER,
    replicas=_NUMBER,
    shadow=_SWITCH,
    ssl=_OPEN,
    svcOrchSpec=_OPEN,
    traffic=_NUMBER,
)  # fmt: skip
_SPEC = _of(
    ("predictors",),
    annotations=_TEXTS,
    name=_TEXT,
    oauth_key=_TEXT,
    oauth_secret=_TEXT,
    predictors=_many(_PREDICTOR),
    protocol=_TEXT,
    replicas=_NUMBER,
    serverType=_TEXT,
    transport=_TEXT,
)


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition, to be applied."""
    whole = _of(apiVersion=_TEXT, kind=_TEXT, metadata={"type": "object"}, spec=_SPEC, status=_OPEN)
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": whole},
        "subresources": {"status": {}},
    }
    names = {
        "kind": "SeldonDeployment",
        "listKind": "SeldonDeploymentList",
        "plural": "seldondeployments",
        "singular": "seldondeployment",
        "shortNames": ["sdep"],
    }
    group = NAME.partition(".")[2]
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": NAME,
            "annotations": {"schnitzel.dev/stand-in": "for tests; not the real one's schema"},
        },
        "spec": spec,
    }
