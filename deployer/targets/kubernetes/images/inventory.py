"""List a cluster's images with Python environments, with their users, and remove unused ones.

The inventory reads images from the ConfigMaps of their builds; only Jobs, which have its
credentials, ask the registry itself. It reads images in use from the Deployments and pods of our
platform.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from deployer.artifacts.metadata import SmallFiles
from deployer.background.jobs import Jobs
from deployer.background.periodic import DAY, Periodic
from deployer.python_env.retention import (
    Inventory,
    KeptEnvironment,
    Need,
    Needs,
    Removed,
    User,
    attribute,
    choose,
)
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import PREDICTOR
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP, DEPLOYMENT, POD
from deployer.targets.kubernetes.images import site
from deployer.targets.kubernetes.images.builds import ImageBuilds
from deployer.targets.kubernetes.images.removal import Removal
from deployer.targets.kubernetes.images.site import BuildSite

REMOVAL: Final = "removal"


class ImageStore:
    """The images with Python environments of one cluster.

    Args:
        client: The cluster; guarded, where a Lease decides which Deployer may write.
        cache: The live objects of the cluster.
        builds: Builds images, and gives out none that a removal claimed.
        place: The build site; None: the cluster has none, and no images.
        files: Reads the request of a version.
        namespaces: The namespaces of the platform's pods; "" for every namespace.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        builds: ImageBuilds,
        place: BuildSite | None,
        files: SmallFiles,
        namespaces: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        self._client, self._cache, self._builds, self._files = client, cache, builds, files
        self._place, self._namespaces, self._clock = place, namespaces, clock
        self._jobs: Jobs[Removed] = Jobs("image-removal", 1)
        self._noting = Periodic(self.note_uses, "note-uses")

    def inventory(self, needs: Needs, *, every_pod: bool = False) -> Inventory:
        """List every image with its users.

        Args:
            needs: The needs of the platform's deployments on this cluster.
            every_pod: Whether to list also pods that are not the platform's.

        Raises:
            TargetUnavailable: The cluster cannot be read now.
        """
        place, removal = self._place, self._jobs.peek(REMOVAL)
        if place is None:
            return Inventory("", removal=removal)
        known = {_key(each): each for each in self._known(place)}
        running = [*self._running(), *(self._in_any_pod() if every_pod else ())]
        keys = {_digest(each): key for key, each in known.items() if _digest(each)}
        there = {name for name, _ in running}
        live: dict[str, set[str]] = {}
        for name, digest in running:
            if digest in keys:
                live.setdefault(name, set()).add(keys[digest])
        # A predictor that runs an image of its own choice needs none of ours.
        asking = [n for n in needs.needs if n.predictor in live or n.predictor not in there]
        users, unknown = attribute(asking, live, lambda need: self._find(need, known, place))
        built = tuple(
            self._built(key, each, place, users.get(key, ())) for key, each in known.items()
        )
        return Inventory(place.push, built, needs.unknown or unknown, removal)

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """Begin to remove unused images; `inventory` shows the result.

        Args:
            names: The candidates, named as in `inventory`.
            needs: Called once no predictor can begin to use the candidates any more.
            grace: Seconds for which an unused image stays.
        """
        self._jobs.forget(REMOVAL)
        self._jobs.ensure(REMOVAL, lambda: self._collect(names, needs, grace))

    def note_uses(self) -> None:
        """Record the use of every running image, to the day.

        Raises:
            TargetUnavailable: The cluster cannot be read, or written to, now.
        """
        if self._place is None:
            return
        now, used = self._clock(), {digest for _, digest in self._running()}
        for known in self._known(self._place):
            if _digest(known) in used and now - _used_at(known) > DAY:
                self._client.replace(site.annotated(known, site.USED, str(int(now))))

    def close(self) -> None:
        """End background work; the Job of a running removal ends on the cluster."""
        self._noting.close()
        self._jobs.close()

    def _collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> Removed:
        if self._place is None:
            return Removed()
        now = self._clock()
        claimed = self._builds.claim(names, now - grace)
        try:
            inventory = self.inventory(needs(), every_pod=True)
            chosen, kept = choose(inventory, claimed, now, grace)
            kept |= dict.fromkeys(set(names) - claimed, "it was asked for meanwhile")
            removal = Removal(self._client, self._place, self._jobs.stopping)
            removed = removal.run(chosen, f"collect-{secrets.token_hex(6)}")
            return replace(removed, kept={**kept, **removed.kept})
        finally:
            self._builds.release(claimed)

    def _known(self, place: BuildSite) -> list[Object]:
        owner = [f"{name}={value}" for name, value in site.owner_labels(place).items()]
        labels = ",".join([*owner, site.REQUIREMENTS])
        return self._client.list(CONFIG_MAP, place.namespace, labels=labels)

    def _running(self) -> Iterator[tuple[str, str]]:
        """Yield our predictors on the cluster, each with the digest of an image that it runs."""
        for live in (*self._cache.all(DEPLOYMENT), *self._cache.all(POD)):
            whole = live.object()
            pod = whole["spec"]["template"] if live.kind == DEPLOYMENT else whole
            yield from ((live.predictor, digest) for digest in _digests(pod))

    def _in_any_pod(self) -> Iterator[tuple[str, str]]:
        """Yield all pods in our namespaces, foreign ones too, each with the digest of an image."""
        for namespace in self._namespaces:
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

    def _built(
        self, key: str, known: Object, place: BuildSite, users: tuple[User, ...]
    ) -> KeptEnvironment:
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
            users=users,
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
