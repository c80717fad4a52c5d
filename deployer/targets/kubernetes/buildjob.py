"""In: what a model asks of its environment, and where to build it. Out: the build's manifests.

The Job runs as nobody in particular: no token, no capability, a root that cannot be written. What
it may use is what it is given: an index's credentials and the registry's, both by reference.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from deployer.requirements import EnvironmentRequest

Object = dict[str, Any]

KEY: Final = "schnitzel.dev/environment"
REQUIREMENTS: Final = "schnitzel.dev/requirements"
PLATFORM: Final = "schnitzel.dev/platform"
USER: Final = 65532
NAME_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class BuildPlace:
    """Where and with what environments are built.

    Attributes:
        namespace: where the Jobs run.
        platform_id: whose they are.
        builder: the environment builder's image.
        base: the model server's image, as the Job reaches it.
        push: the repository for environments, as the Job reaches it: "10.0.0.5:5000/environments".
        pull: the same repository, as nodes reach it.
        insecure: whether the registry speaks plain HTTP.
        push_secret: a Secret of type kubernetes.io/dockerconfigjson; "" for none.
        pull_secret: likewise, to pull the builder with.
        index_secret: a Secret whose keys become variables, such as UV_INDEX_URL; "" for none.
        trust_bundle: a ConfigMap's name and the key of CA certificates in it, or None.
        wheels_only: whether packages that have to be compiled are refused.
        timeout: seconds for one build.
        cpu: cores, such as "1"; also the limit.
        memory: such as "2Gi"; also the limit.
        scratch: the size of the environment and what it takes to make it, such as "20Gi".
    """

    namespace: str
    platform_id: str
    builder: str
    base: str
    push: str
    pull: str
    insecure: bool = False
    push_secret: str = ""
    pull_secret: str = ""
    index_secret: str = ""
    trust_bundle: tuple[str, str] | None = None
    wheels_only: bool = True
    timeout: int = 3600
    cpu: str = "2"
    memory: str = "4Gi"
    scratch: str = "20Gi"


def image_key(request: EnvironmentRequest, place: BuildPlace) -> str:
    """The same for what gets the same image in the same repository: 32 hex digits."""
    text = f"{request.key}\n{place.base}\n{place.push}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def object_name(key: str) -> str:
    """The name of the ConfigMap and the Job of a build."""
    return f"environment-{key[:NAME_DIGITS]}"


def lock_name(request: EnvironmentRequest) -> str:
    """The name of the ConfigMap that keeps what the requirements were locked to."""
    return f"lock-{request.key[:NAME_DIGITS]}"


def request_map(
    request: EnvironmentRequest, place: BuildPlace, lock: str, before: str = ""
) -> Object:
    """The ConfigMap that a build reads, and that tells afterwards what came of it.

    Args:
        request: what is asked for.
        place: where it is built.
        lock: what it was locked to before; "" the first time.
        before: an image that has this environment on another server image; "" if there is none.
    """
    key = image_key(request, place)
    asked = {
        "python": request.python,
        "requirements": list(request.requirements),
        "constraints": list(request.constraints),
        "options": list(request.options),
        "lock": lock or None,
        "base": place.base,
        "push": place.push,
        "tag": key,
        "wheels_only": place.wheels_only,
        "insecure": place.insecure,
    }
    if before:
        asked["environment"] = before
    metadata = _metadata(object_name(key), key, place)
    metadata["labels"][REQUIREMENTS] = request.key
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"request.json": json.dumps(asked, indent=1, sort_keys=True)},
    }


def lock_map(request: EnvironmentRequest, place: BuildPlace, lock: str) -> Object:
    """The ConfigMap that keeps a lock: the same requirements get the same packages ever after."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "immutable": True,
        "metadata": _metadata(lock_name(request), request.key, place),
        "data": {"lock": lock, "requirements": "\n".join(request.requirements)},
    }


def job(request: EnvironmentRequest, place: BuildPlace) -> Object:
    """The Job that builds an environment, tried once: who asks for it decides on another try."""
    key = image_key(request, place)
    name = object_name(key)
    metadata = _metadata(name, key, place)
    secrets = [{"name": place.pull_secret}] if place.pull_secret else []
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": secrets,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(place)],
        "volumes": _volumes(name, place),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": place.timeout,
            "ttlSecondsAfterFinished": 86400,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": pod},
        },
    }


def _container(place: BuildPlace) -> Object:
    env = [{"name": "HOME", "value": "/tmp"}, {"name": "UV_LINK_MODE", "value": "copy"}]  # noqa: S108
    mounts = [
        {"name": "request", "mountPath": "/etc/build", "readOnly": True},
        {"name": "environment", "mountPath": "/opt/env"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
    ]
    if place.trust_bundle:
        path = "/etc/build-ca/ca.crt"
        mounts.append({"name": "ca", "mountPath": "/etc/build-ca", "readOnly": True})
        env.append({"name": "SSL_CERT_FILE", "value": path})
    if place.push_secret:
        mounts.append({"name": "registry", "mountPath": "/etc/registry", "readOnly": True})
        env.append({"name": "DOCKER_CONFIG", "value": "/etc/registry"})
    index = [{"secretRef": {"name": place.index_secret}}] if place.index_secret else []
    return {
        "name": "builder",
        "image": place.builder,
        "imagePullPolicy": "IfNotPresent",
        "args": ["/etc/build/request.json"],
        "env": env,
        "envFrom": index,
        "resources": {
            "requests": {"cpu": "250m", "memory": "512Mi"},
            "limits": {"cpu": place.cpu, "memory": place.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _volumes(name: str, place: BuildPlace) -> list[Object]:
    items = [{"key": "request.json", "path": "request.json"}]
    volumes: list[Object] = [
        {"name": "request", "configMap": {"name": name, "items": items}},
        {"name": "environment", "emptyDir": {"sizeLimit": place.scratch}},
        {"name": "tmp", "emptyDir": {"sizeLimit": place.scratch}},
    ]
    if place.trust_bundle:
        bundle, key = place.trust_bundle
        items = [{"key": key, "path": "ca.crt"}]
        volumes.append({"name": "ca", "configMap": {"name": bundle, "items": items}})
    if place.push_secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        secret = {"secretName": place.push_secret, "items": items}
        volumes.append({"name": "registry", "secret": secret})
    return volumes


def _metadata(name: str, key: str, place: BuildPlace) -> Object:
    return {
        "name": name,
        "namespace": place.namespace,
        "labels": {
            "app.kubernetes.io/name": "environment",
            "app.kubernetes.io/component": "build",
            "app.kubernetes.io/managed-by": "schnitzel",
            KEY: key,
            PLATFORM: place.platform_id,
        },
    }
