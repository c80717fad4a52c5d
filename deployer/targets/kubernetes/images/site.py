"""Define a build site, and name the images and objects of a build.

An image belongs to one platform and one of its clusters: its labels name both, and its key depends
on both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from deployer.artifacts.requirements import EnvironmentRequest

Object = dict[str, Any]

KEY: Final = "schnitzel.dev/environment"
REQUIREMENTS: Final = "schnitzel.dev/requirements"
PLATFORM: Final = "schnitzel.dev/platform"
CLUSTER: Final = "schnitzel.dev/cluster"
REMOVAL: Final = "schnitzel.dev/removal"
"""Annotation of a build's ConfigMap: the Job that removes the image."""

USED: Final = "schnitzel.dev/used"
"""Annotation of a build's ConfigMap: when the image was last seen in use, since the epoch."""

NAME_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class BuildSite:
    """The place and the means of building Python environments.

    Attributes:
        namespace: The namespace of the Jobs.
        platform_id: The platform that owns the images.
        cluster: The cluster that the images are for, by its name in platform.yaml.
        builder: The environment builder's image.
        base: The model server's image, as the Job reaches it.
        push: The repository for images, as the Job reaches it: "10.0.0.5:5000/environments".
        pull: The same repository, as nodes reach it.
        insecure: Whether the registry speaks plain HTTP.
        push_secret: A Secret of type kubernetes.io/dockerconfigjson; "" for none.
        pull_secret: Likewise, to pull the builder with.
        index_secret: A Secret whose keys become variables, such as UV_INDEX_URL; "" for none.
        server: The model server's image, as nodes reach it: it fetches the wheels of models.
        tracking_uri: MLflow's address, as pods reach it.
        artifact_secret: A Secret whose keys become variables, to fetch with; "" for none.
        trust_bundle: A ConfigMap's name and the key of CA certificates in it, or None.
        wheels_only: Whether builds refuse packages that have to be compiled.
        timeout: Seconds for one build.
        cpu: Cores, such as "1"; also the limit.
        memory: Bytes, such as "2Gi"; also the limit.
        scratch: The size of the Python environment and its intermediate files, such as "20Gi".
    """

    namespace: str
    platform_id: str
    cluster: str
    builder: str
    base: str
    push: str
    pull: str
    insecure: bool = False
    push_secret: str = ""
    pull_secret: str = ""
    index_secret: str = ""
    server: str = ""
    tracking_uri: str = ""
    artifact_secret: str = ""
    trust_bundle: tuple[str, str] | None = None
    wheels_only: bool = True
    timeout: int = 3600
    cpu: str = "2"
    memory: str = "4Gi"
    scratch: str = "20Gi"


def image_key(request: EnvironmentRequest, place: BuildSite) -> str:
    """Hash a request to the key of its image at a build site: 32 hex digits.

    No two platforms, and no two clusters of a platform, share an image, because each can decide
    only for its own images whether they are used. A registry stores the layer, which takes the
    space, once.
    """
    text = f"{request.key}\n{place.base}\n{place.push}\n{place.platform_id}\n{place.cluster}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def object_name(key: str) -> str:
    """Name the ConfigMap and the Job of a build."""
    return f"environment-{key[:NAME_DIGITS]}"


def removal_of(known: Object) -> str:
    """Return the Job that removes the image of a build's ConfigMap; "" if there is none."""
    return str((known["metadata"].get("annotations") or {}).get(REMOVAL, ""))


def annotated(known: Object, name: str, value: str) -> Object:
    """Copy an object with an annotation, or without the annotation if the value is empty."""
    meta = known["metadata"]
    others = {k: v for k, v in (meta.get("annotations") or {}).items() if k != name}
    return {
        **known,
        "metadata": {**meta, "annotations": others | ({name: value} if value else {})},
    }


def lock_name(request: EnvironmentRequest) -> str:
    """Name the ConfigMap that keeps the lock of the requirements."""
    return f"lock-{request.key[:NAME_DIGITS]}"


def owner_labels(place: BuildSite) -> dict[str, str]:
    """Build the labels that name the owner of an image."""
    return {PLATFORM: place.platform_id, CLUSTER: place.cluster}
