"""In: where environments are built. Out: what their images and the objects of a build are called.

An image belongs to one platform and one of its clusters: its labels say so, and its key counts it.
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
"""Annotation of a build's ConfigMap: the Job that takes the image away."""

USED: Final = "schnitzel.dev/used"
"""Annotation of a build's ConfigMap: when the image was last seen in use, since the epoch."""

NAME_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class BuildSite:
    """Where and with what environments are built.

    Attributes:
        namespace: where the Jobs run.
        platform_id: whose they are.
        cluster: which of the platform's clusters they are for, by its name in platform.yaml.
        builder: the environment builder's image.
        base: the model server's image, as the Job reaches it.
        push: the repository for environments, as the Job reaches it: "10.0.0.5:5000/environments".
        pull: the same repository, as nodes reach it.
        insecure: whether the registry speaks plain HTTP.
        push_secret: a Secret of type kubernetes.io/dockerconfigjson; "" for none.
        pull_secret: likewise, to pull the builder with.
        index_secret: a Secret whose keys become variables, such as UV_INDEX_URL; "" for none.
        server: the model server's image, as nodes reach it: it fetches the wheels of models.
        tracking_uri: MLflow's address, as pods reach it.
        artifact_secret: a Secret whose keys become variables, to fetch with; "" for none.
        trust_bundle: a ConfigMap's name and the key of CA certificates in it, or None.
        wheels_only: whether packages that have to be compiled are refused.
        timeout: seconds for one build.
        cpu: cores, such as "1"; also the limit.
        memory: such as "2Gi"; also the limit.
        scratch: the size of the environment and what it takes to make it, such as "20Gi".
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
    """The same for what gets the same image in the same repository: 32 hex digits.

    No two platforms, and no two clusters of one, have an image in common: each can tell of its own
    alone whether it is used. What takes the room, the layer, a registry keeps once.
    """
    text = f"{request.key}\n{place.base}\n{place.push}\n{place.platform_id}\n{place.cluster}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def object_name(key: str) -> str:
    """The name of the ConfigMap and the Job of a build."""
    return f"environment-{key[:NAME_DIGITS]}"


def removal_of(known: Object) -> str:
    """The Job that takes away the image of a build's ConfigMap; "" if there is none."""
    return str((known["metadata"].get("annotations") or {}).get(REMOVAL, ""))


def annotated(known: Object, name: str, value: str) -> Object:
    """An object with an annotation; without it, if the value is empty."""
    meta = known["metadata"]
    others = {k: v for k, v in (meta.get("annotations") or {}).items() if k != name}
    return {
        **known,
        "metadata": {**meta, "annotations": others | ({name: value} if value else {})},
    }


def lock_name(request: EnvironmentRequest) -> str:
    """The name of the ConfigMap that keeps what the requirements were locked to."""
    return f"lock-{request.key[:NAME_DIGITS]}"


def owner_labels(place: BuildSite) -> dict[str, str]:
    """Whose an image is, as its own labels say."""
    return {PLATFORM: place.platform_id, CLUSTER: place.cluster}
