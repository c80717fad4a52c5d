"""Declare the section `clusters` of platform.yaml as pydantic models.

The section holds no secret, only the names of Kubernetes Secrets and the path of a kubeconfig.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from deployer.config.services import File, Url
from deployer.schema.base import Frozen
from deployer.schema.units import Bytes, Cores, Duration
from deployer.spec.model import Image
from deployer.spec.pods import ObjectName


def _place(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", value):
        raise ValueError("should be HOST, HOST:PORT or HOST:PORT/PREFIX, with no scheme")
    return value


RegistryPlace = Annotated[str, AfterValidator(_place)]
"""The registry part of an image reference: "registry.example:5000/schnitzel"."""


class TrustBundle(Frozen):
    """Certificates of a private authority, in a ConfigMap of the namespace where they are used."""

    config_map: ObjectName
    """The ConfigMap."""

    key: str = Field(default="ca.crt", pattern=r"^[-._a-zA-Z0-9]{1,253}$")
    """The key in it."""


class ClusterGateway(Frozen):
    """The Gateway (of the Gateway API) that routes prediction requests."""

    name: ObjectName
    """The Gateway's name."""

    namespace: ObjectName
    """Its namespace."""

    section: ObjectName | None = None
    """The listener to attach to; null: all of them."""

    url: Url
    """The address of the gateway for clients."""

    probe_url: Url | None = None
    """The address of the gateway for the Deployer; null: the same."""

    headless: bool = True
    """Whether the gateway routes to headless Services; false for one that cannot."""


class ImageRegistry(Frozen):
    """The registry of environment images."""

    push: RegistryPlace
    """The address for builds in the cluster: "registry.example:5000/schnitzel"."""

    pull: RegistryPlace
    """The address for nodes; often the same."""

    insecure: bool = False
    """Whether the registry speaks plain HTTP."""

    pull_secret: ObjectName | None = None
    """The Secret (kubernetes.io/dockerconfigjson) to pull with, in each environment's namespace."""

    push_secret: ObjectName | None = None
    """The Secret (kubernetes.io/dockerconfigjson) to push with, in the builds' namespace."""

    def push_reference(self, image: str) -> str:
        """Rewrite an image that nodes pull to the address that builds in the cluster use."""
        host, slash, rest = image.partition("/")
        if slash and host == self.pull.partition("/")[0]:
            return f"{self.push.partition('/')[0]}/{rest}"
        return image


class Build(Frozen):
    """Builds of environment images: one Job for each lock."""

    namespace: ObjectName = "schnitzel-builds"
    """The namespace of the Jobs."""

    image: Image | None = None
    """The environment builder's image."""

    timeout: Duration = Field(default=1800, ge=10, le=86400)
    """The time limit of one build."""

    cpu: Cores = Field(default=1, gt=0)
    """Cores of one build."""

    memory: Bytes = Field(default=2 * 1024**3, ge=64 * 1024**2)
    """Memory of one build."""

    wheels_only: bool = True
    """Whether builds install wheels only, so that no package's own code runs in a build."""

    index_secret: ObjectName | None = None
    """The Secret, in the builds' namespace, with uv's variables for a private package index."""

    artifact_secret: ObjectName | None = None
    """The Secret, in the builds' namespace, with MLflow's or S3's variables, for models that
    bring wheels along."""

    trust_bundle: TrustBundle | None = None
    """Certificates of a private authority, for builds."""


class ArtifactAccess(Frozen):
    """The access of pods to artifacts."""

    tracking_uri: Url | None = None
    """MLflow's address for pods; null: the Deployer's."""

    secret: ObjectName | None = None
    """The Secret, in each environment's namespace, with MLflow's or S3's variables."""


class SeldonOperator(Frozen):
    """The settings of Seldon's operator in a cluster."""

    server: str = Field(default="SCHNITZEL_SERVER", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")
    """The name of our server in the operator's predictor_servers, for the shape named."""

    microservice_image: Image | None = None
    """The image of Seldon's microservice, for the shape microservice; null: unavailable."""


class ClusterBroker(Frozen):
    """The access of a cluster's pods to a broker of RabbitMQ."""

    secret: ObjectName
    """The secret with the broker's address, in each namespace of the cluster's deployments."""

    key: str = Field(default="url", pattern=r"^[-._a-zA-Z0-9]{1,253}$")
    """The key in it."""

    trust_bundle: TrustBundle | None = None
    """Certificates of a private authority of the broker."""


class Cluster(Frozen):
    """A Kubernetes cluster that deployments run on."""

    kubeconfig: File | None = None
    """The kubeconfig; null, outside of a cluster: kubectl's default."""

    context: str | None = Field(default=None, min_length=1)
    """The context in it; null: the current one."""

    in_cluster: bool = False
    """Whether to use our own pod's ServiceAccount; default: true in a pod."""

    gateway: ClusterGateway
    """The Gateway (of the Gateway API) that routes prediction requests."""

    registry: ImageRegistry | None = None
    """The registry of environment images; null: versions must name an image."""

    build: Build = Build()
    """Builds of environment images."""

    server_image: Image
    """The model server's image."""

    tfserving_image: Image | None = None
    """TensorFlow Serving's image; null: the runtime is unavailable."""

    seldon: SeldonOperator | None = None
    """Seldon's operator; null: the cluster has none."""

    artifacts: ArtifactAccess = ArtifactAccess()
    """The access of pods to artifacts."""

    brokers: dict[str, ClusterBroker] = Field(default={})
    """The access of pods to brokers, by the broker's name in `brokers`."""

    trust_bundle: TrustBundle | None = None
    """Certificates of a private authority, for model servers."""

    gpu_resource: str = Field(default="nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    """The resource name of a GPU."""

    reach: Literal["direct", "proxy"] | None = None
    """How the Deployer reaches pods: directly, or through the API server; null: detected."""

    @property
    def direct(self) -> bool:
        """Whether the Deployer reaches pods at their addresses, and not through the API server."""
        return self.reach == "direct" or (self.reach is None and self.in_cluster)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.in_cluster and (self.kubeconfig or self.context):
            raise ValueError("should have either in_cluster or a kubeconfig and context, not both")
        if self.registry and not self.build.image:
            raise ValueError("has a registry, and so needs build.image, which builds for it")
        return self
