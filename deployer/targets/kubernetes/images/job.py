"""Build the manifests of the Jobs that build and remove images.

A Job runs unprivileged: no token, no capability, a read-only root. It has only the credentials that
its manifest references: those of an index and those of the registry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.targets.kubernetes.images.site import (
    KEY,
    REQUIREMENTS,
    BuildSite,
    image_key,
    lock_name,
    object_name,
    owner_labels,
)

Object = dict[str, Any]

USER: Final = 65532
REQUEST: Final = "/etc/build"
WHEELS: Final = "/mnt/wheels"
REMOVAL_SECONDS: Final = 600


def request_map(
    request: EnvironmentRequest, place: BuildSite, lock: str, before: str = ""
) -> Object:
    """Build the ConfigMap that a build reads, and that holds the result afterwards.

    Args:
        request: The requested Python environment.
        place: The build site.
        lock: The lock of an earlier build; "" the first time.
        before: An image that has this Python environment on another server image; "" for none.
    """
    key = image_key(request, place)
    asked: Object = {
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
        "labels": owner_labels(place),
    }
    if request.wheels:
        asked["wheels"] = [{"name": w.name, "sha256": w.sha256} for w in request.wheels]
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


def lock_map(request: EnvironmentRequest, place: BuildSite, lock: str) -> Object:
    """Build the ConfigMap of a lock, by which equal requirements get equal packages ever after."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "immutable": True,
        "metadata": _metadata(lock_name(request), request.key, place),
        "data": {"lock": lock, "requirements": "\n".join(request.requirements)},
    }


def job(request: EnvironmentRequest, place: BuildSite, source: str = "") -> Object:
    """Build the Job of a Python environment, tried once: its caller decides on another try.

    Args:
        request: The requested Python environment.
        place: The build site.
        source: The artifact URI of a requesting model, for the wheels among its files.
    """
    key = image_key(request, place)
    name = object_name(key)
    items = [{"key": "request.json", "path": "request.json"}]
    container = _container(place, {"args": [f"{REQUEST}/request.json"]})
    container["volumeMounts"] += [
        {"name": "request", "mountPath": REQUEST, "readOnly": True},
        {"name": "environment", "mountPath": "/opt/env"},
    ]
    if place.index_secret:
        container["envFrom"] = [{"secretRef": {"name": place.index_secret}}]
    volumes = [
        {"name": "request", "configMap": {"name": name, "items": items}},
        {"name": "environment", "emptyDir": {"sizeLimit": place.scratch}},
    ]
    made = _job(_metadata(name, key, place), place, container, volumes, place.timeout)
    if request.wheels:
        pod = made["spec"]["template"]["spec"]
        mount = {"name": "wheels", "mountPath": WHEELS}
        container["volumeMounts"].append({**mount, "readOnly": True})
        pod["initContainers"] = [_fetcher(request, place, source, mount)]
        pod["volumes"].append({"name": "wheels", "emptyDir": {"sizeLimit": place.scratch}})
    return made


def _fetcher(request: EnvironmentRequest, place: BuildSite, source: str, mount: Object) -> Object:
    """Build the container that fetches wheels; it alone has the artifact store's credentials.

    It has no other credentials.
    """
    asked = {
        "artifact_uri": source,
        "tracking_uri": place.tracking_uri,
        "folder": WHEELS,
        "wheels": [{"path": w.path, "name": w.name, "sha256": w.sha256} for w in request.wheels],
    }
    command = ["/opt/schnitzel/bin/python", "-m", "serving.artifact.wheels"]
    container = _container(
        replace(place, push_secret=""), {"command": command, "args": [json.dumps(asked)]}
    )
    container |= {"name": "wheels", "image": place.server}
    container["volumeMounts"].append(mount)
    if place.artifact_secret:
        container["envFrom"] = [{"secretRef": {"name": place.artifact_secret}}]
    return container


def removal_job(name: str, digests: Sequence[str], place: BuildSite) -> Object:
    """Build the Job that removes our images from the registry, with the credentials of a build."""
    asked = {
        "repository": place.push,
        "digests": list(digests),
        "insecure": place.insecure,
        "labels": owner_labels(place),
    }
    container = _container(
        place,
        {
            "command": ["/usr/bin/python3.11", "/opt/builder/remove.py"],
            "args": [json.dumps(asked)],
        },
    )
    return _job(_metadata(name, "", place), place, container, [], REMOVAL_SECONDS)


def _job(
    metadata: Object, place: BuildSite, container: Object, volumes: list[Object], seconds: int
) -> Object:
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
        "containers": [container],
        "volumes": [*volumes, *_volumes(place)],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": 86400,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": pod},
        },
    }


def _container(place: BuildSite, runs: Object) -> Object:
    env = [{"name": "HOME", "value": "/tmp"}, {"name": "UV_LINK_MODE", "value": "copy"}]  # noqa: S108
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - its own
    if place.trust_bundle:
        path = "/etc/build-ca/ca.crt"
        mounts.append({"name": "ca", "mountPath": "/etc/build-ca", "readOnly": True})
        env.append({"name": "SSL_CERT_FILE", "value": path})
    if place.push_secret:
        mounts.append({"name": "registry", "mountPath": "/etc/registry", "readOnly": True})
        env.append({"name": "DOCKER_CONFIG", "value": "/etc/registry"})
    return {
        "name": "builder",
        "image": place.builder,
        "imagePullPolicy": "IfNotPresent",
        **runs,
        "env": env,
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


def _volumes(place: BuildSite) -> list[Object]:
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": place.scratch}}]
    if place.trust_bundle:
        bundle, key = place.trust_bundle
        items = [{"key": key, "path": "ca.crt"}]
        volumes.append({"name": "ca", "configMap": {"name": bundle, "items": items}})
    if place.push_secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        secret = {"secretName": place.push_secret, "items": items}
        volumes.append({"name": "registry", "secret": secret})
    return volumes


def _metadata(name: str, key: str, place: BuildSite) -> Object:
    return {
        "name": name,
        "namespace": place.namespace,
        "labels": {
            "app.kubernetes.io/name": "environment",
            "app.kubernetes.io/component": "build",
            "app.kubernetes.io/managed-by": "schnitzel",
            **({KEY: key} if key else {}),
            **owner_labels(place),
        },
    }
