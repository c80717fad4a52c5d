"""Prepare the image that a predictor's pods run, in the background."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from deployer.artifacts.metadata import SmallFiles
from deployer.artifacts.requirements import EnvironmentRequest
from deployer.background.jobs import Job
from deployer.config.clusters import Cluster
from deployer.errors import RuntimeUnavailable, VersionFailure
from deployer.state.predictor import Phase, Predictor
from deployer.targets.kubernetes.images.builds import ImageBuilds
from deployer.targets.kubernetes.render.runtimes import runs_tensorflow
from deployer.targets.preparation import Preparing, Progress


@dataclass(frozen=True, slots=True)
class ImagePrepared(Progress):
    """The progress of a predictor before its pods. READY: `image` names the image of its pods."""

    image: str = ""
    note: str = ""
    message: str = ""


class ImagePreparation(Preparing[ImagePrepared]):
    """The images of predictors, each read and built once, in the background.

    Args:
        cluster: The cluster of the predictors, for its images.
        files: Reads the requirements of a version.
        builds: Builds Python environments as images.
        clock: Seconds since the epoch.
        indexes: Package indexes that models' requirements may name.
    """

    def __init__(
        self,
        cluster: Cluster,
        files: SmallFiles,
        builds: ImageBuilds,
        clock: Callable[[], float],
        indexes: Collection[str] = (),
    ) -> None:
        super().__init__(clock, indexes)
        self._cluster = cluster
        self._files = files
        self._builds = builds
        self._refused: dict[str, ImagePrepared] = {}

    def files(self, predictor: Predictor) -> Job[Path]:
        """Begin to fetch a predictor's small files, its example among them; return the progress."""
        return self._files.ensure(predictor.version, predictor.source)

    def refuse(self, predictor: str, error: VersionFailure) -> None:
        """Note that the cluster refuses the objects of a predictor."""
        self._refused[predictor] = ImagePrepared(Phase.FAILED, self._clock(), error=error)

    def accept(self, predictor: str) -> None:
        """Drop the refusal of a predictor, because the cluster is asked again."""
        self._refused.pop(predictor, None)

    def refusal(self, predictor: str) -> ImagePrepared | None:
        """Return the cluster's refusal of a predictor; None if it accepts the predictor."""
        return self._refused.get(predictor)

    def forget(self, predictor: Predictor) -> None:
        """Forget a predictor, so that failed work begins again, and a refusal does not count."""
        self.accept(predictor.name)
        super().forget(predictor)

    def close(self) -> None:
        """End background work here; builds on the cluster go on."""
        self._builds.close()
        self._files.close()

    def _retry(self, predictor: Predictor, request: EnvironmentRequest | None) -> None:
        self._files.forget(predictor.version, predictor.source)
        if request:
            self._builds.forget(request)

    def _advance(self, predictor: Predictor) -> ImagePrepared:
        now = self._clock()
        named = predictor.spec.image or ""
        if lacking := self._lacking(predictor, named):
            return ImagePrepared(Phase.FAILED, now, error=lacking)
        if runs_tensorflow(predictor.spec):
            return ImagePrepared(Phase.READY, now, self._cluster.server_image)
        return ImagePrepared(Phase.READY, now, named) if named else self._built(predictor, now)

    def _built(self, predictor: Predictor, now: float) -> ImagePrepared:
        """Begin the image with a predictor's Python environment and return its progress."""
        fetched = self._files.ensure(predictor.version, predictor.source)
        if fetched.error:
            return ImagePrepared(Phase.FAILED, now, error=fetched.error)
        if fetched.result is None:
            return ImagePrepared(Phase.BUILDING, now, message="its requirements are read")
        try:
            request = self._request(predictor, fetched.result)
            image = self._builds.ensure(request, predictor.source)
        except VersionFailure as error:
            return ImagePrepared(Phase.FAILED, now, error=error)
        if image.error:
            return ImagePrepared(Phase.FAILED, now, error=self._blamed(image.error, request))
        if image.built is None:
            return ImagePrepared(Phase.BUILDING, now, message=image.message)
        note = self._note(request, image.built.python)
        return ImagePrepared(Phase.READY, now, image.built.image, note)

    def _lacking(self, predictor: Predictor, named: str) -> VersionFailure | None:
        """Explain why this cluster cannot serve a predictor; None if it can.

        Args:
            predictor: The predictor.
            named: The image that its spec names; "" for none.
        """
        cluster, runtime = self._cluster, predictor.spec.runtime
        shape = predictor.spec.seldon.shape if runtime == "seldon" else ""
        if shape == "named" and cluster.trust_bundle:
            return RuntimeUnavailable(
                "The cluster has a trust_bundle, which the operator's own init container, in the "
                "shape named of Seldon, would not have.",
                "Ask for another shape in serving.yaml: seldon.shape.",
            )
        what, setting = "", ""
        if runtime == "tfserving" and not (named or cluster.tfserving_image):
            what, setting = "image of TensorFlow Serving", "tfserving_image"
        elif runtime == "seldon" and cluster.seldon is None:
            what, setting = "operator of Seldon's", "seldon"
        elif shape == "microservice" and not (cluster.seldon and cluster.seldon.microservice_image):
            what, setting = "image of Seldon's microservice", "seldon.microservice_image"
        if not what:
            return None
        return RuntimeUnavailable(
            f"The cluster has no {what}, as far as its settings say.",
            f"Have an operator name it: clusters.NAME.{setting} in platform.yaml.",
        )
