"""List a cluster's images with Python environments and what runs in them, and remove some.

The listing reads images from the ConfigMaps of their builds; only Jobs, which have its
credentials, ask the registry itself. It reads images in use from the Deployments and pods of our
platform.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from deployer.artifacts.metadata import SmallFiles
from deployer.python_env.collector import Survey
from deployer.python_env.retention import KeptEnvironment, Need, Removed
from deployer.targets.kubernetes.cache.objects import PREDICTOR
from deployer.targets.kubernetes.client.client import Object
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP, DEPLOYMENT, POD
from deployer.targets.kubernetes.context import ClusterContext
from deployer.targets.kubernetes.images import site
from deployer.targets.kubernetes.images.builds import ImageBuilds
from deployer.targets.kubernetes.images.removal import Removal
from deployer.targets.kubernetes.images.site import BuildSite


class ClusterImages:
    """The images with Python environments of one cluster.

    A `Backend` of `deployer.python_env.collector`.

    Args:
        context: The cluster.
        builds: Builds images, and gives out none that a removal claimed.
        place: The build site; None: the cluster has none, and no images.
        files: Reads the request of a version.
    """

    def __init__(
        self,
        context: ClusterContext,
        builds: ImageBuilds,
        place: BuildSite | None,
        files: SmallFiles,
    ) -> None:
        self._context, self._client, self._cache = context, context.client, context.cache
        self._builds, self._place, self._files = builds, place, files

    def survey(self, *, every_process: bool) -> Survey:
        """See `Backend.survey`; `every_process` lists also pods that are not the platform's."""
        place = self._place
        if place is None:
            return Survey("", (), {}, {}, lambda _: (), lambda _: None)
        known = {_key(each): each for each in self._known(place)}
        keys = {_digest(each): key for key, each in known.items() if _digest(each)}
        live: dict[str, set[str]] = {}
        for name, digest in (*self._running(), *(self._in_any_pod() if every_process else ())):
            live.setdefault(name, set()).update({keys[digest]} if digest in keys else ())
        return Survey(
            where=place.push,
            built=[self._built(key, each, place) for key, each in known.items()],
            live=live,
            noted={key: _used_at(each) for key, each in known.items()},
            find=lambda need: self._find(need, known, place),
            note_use=lambda key: self._note_use(known[key]),
        )

    @contextmanager
    def claim(self, names: Collection[str], unused_since: float) -> Iterator[Collection[str]]:
        """See `Backend.claim`."""
        claimed = self._builds.claim(names, unused_since)
        try:
            yield claimed
        finally:
            self._builds.release(claimed)

    def remove(
        self,
        chosen: Sequence[KeptEnvironment],
        unused_since: float,  # noqa: ARG002 - the claim looked at the last request
        stopping: threading.Event,
    ) -> Removed:
        """See `Backend.remove`; the Job of a removal ends on the cluster, whatever ends here."""
        if self._place is None:
            return Removed()
        removal = Removal(self._client, self._place, stopping)
        return removal.run(chosen, f"collect-{secrets.token_hex(6)}")

    def _note_use(self, known: Object) -> None:
        self._client.replace(site.annotated(known, site.USED, str(int(self._context.clock()))))

    def _known(self, place: BuildSite) -> list[Object]:
        owner = [f"{name}={value}" for name, value in site.owner_labels(place).items()]
        labels = ",".join([*owner, site.REQUIREMENTS])
        return self._client.list(CONFIG_MAP, place.namespace, labels=labels)

    def _running(self) -> Iterator[tuple[str, str]]:
        """Yield our predictors on the cluster, each with the digest of an image that it runs.

        A pod that is no predictor's, as that of a build, has a name of its own.
        """
        for live in (*self._cache.all(DEPLOYMENT), *self._cache.all(POD)):
            whole = live.object()
            pod = whole["spec"]["template"] if live.kind == DEPLOYMENT else whole
            name = live.predictor or f"the pod {live.key.namespace}/{live.key.name}"
            yield from ((name, digest) for digest in _digests(pod))

    def _in_any_pod(self) -> Iterator[tuple[str, str]]:
        """Yield all pods in our namespaces, foreign ones too, each with the digest of an image."""
        for namespace in self._context.namespaces:
            for page in self._client.pages(POD, namespace):
                for pod in page.items:
                    meta = pod["metadata"]
                    ours = (meta.get("labels") or {}).get(PREDICTOR)
                    name = ours or f"the pod {meta['namespace']}/{meta['name']}"
                    yield from ((name, digest) for digest in _digests(pod))

    def _find(
        self, need: Need, known: Mapping[str, Object], place: BuildSite
    ) -> Collection[str] | None:
        """Find the image that a version would run, else the images to make it from at once."""
        asked = self._files.request(need.version, need.source)
        if asked.result is None:
            return () if asked.error and not asked.error.transient else None
        key = site.image_key(asked.result, place)
        if key in known:
            return [key]
        wanted = asked.result.key
        return [k for k, one in known.items() if _label(one, site.REQUIREMENTS) == wanted]

    def _built(self, key: str, known: Object, place: BuildSite) -> KeptEnvironment:
        data, digest = known.get("data", {}), _digest(known)
        made = datetime.fromisoformat(known["metadata"]["creationTimestamp"]).timestamp()
        found = KeptEnvironment(
            name=key,
            image=f"{place.pull}@{digest}" if digest else "",
            lock=data.get("lock", ""),
            python=data.get("python", ""),
            size=int(data["bytes"]) if data.get("bytes") else None,
            made_at=float(data.get("made") or made),
            used_at=max(_used_at(known), self._builds.requested_at(key)),
        )
        if self._builds.building(key):
            return replace(found, phase="building")
        if site.removal_of(known):
            return replace(found, phase="removing")
        return found if digest else replace(found, phase="unfinished")


def _digests(pod: Object) -> set[str]:
    """Collect the digests of a pod's images, as its spec names them and as the node pulled them."""
    spec, status = pod["spec"], pod.get("status", {})
    names = [each.get("image", "") for each in spec["containers"]]
    names += [each.get("image", "") for each in spec.get("initContainers") or ()]
    names += [each.get("imageID", "") for each in status.get("containerStatuses") or ()]
    return {str(name).partition("@")[2] for name in names} - {""}


def _label(known: Object, name: str) -> str:
    return str(known["metadata"]["labels"].get(name, ""))


def _key(known: Object) -> str:
    return _label(known, site.KEY)


def _digest(known: Object) -> str:
    return str(known.get("data", {}).get("image", "")).partition("@")[2]


def _used_at(known: Object) -> float:
    return float((known["metadata"].get("annotations") or {}).get(site.USED, 0))
