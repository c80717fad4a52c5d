"""Remove unused images from the registry, and their ConfigMaps from the cluster.

The removal marks each image's ConfigMap before it deletes anything: a later request for the image
waits for the Job that the mark names, and builds the image anew. The Job has the registry's
credentials, and leaves images without our labels alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from deployer.background.jobs import Stopped
from deployer.errors import TargetUnavailable, VersionFailure
from deployer.python_env.retention import KeptEnvironment, Removed
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import Conflict
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP, JOB
from deployer.targets.kubernetes.diagnosis import waiting
from deployer.targets.kubernetes.images import job as buildjob, results as jobresults, site
from deployer.targets.kubernetes.images.site import BuildSite

LOOK_SECONDS: Final = 0.5
MOST: Final = 500
"""Images of one Job: their digests are an argument of the Job, which may have 128 KiB."""

LEFT: Final = "left for the next time: this time was full"
FOREIGN: Final = "the registry has another image there, which is not ours"


class Removal:
    """One removal from one cluster's repository.

    Args:
        client: The cluster.
        place: The build site.
        stopping: Set when the process ends; the Job goes on.
    """

    def __init__(self, client: Client, place: BuildSite, stopping: threading.Event) -> None:
        self._client, self._place, self._stopping = client, place, stopping

    def run(self, images: Sequence[KeptEnvironment], name: str) -> Removed:
        """Remove images that no predictor uses, or can begin to use.

        Args:
            images: The claimed images: no predictor gets them meanwhile.
            name: A new name, for the Job.

        Raises:
            TargetUnavailable: The cluster does not answer; the next removal takes up the marks.
            Stopped: The process ends; likewise.
        """
        kept = {each.name: LEFT for each in images[MOST:]}
        marked: dict[str, Object] = {}
        for image in images[:MOST]:
            found = self._mark(image, name)
            if isinstance(found, str):
                kept[image.name] = found
            else:
                marked[image.name] = found
        digests = {each.name: each.image.partition("@")[2] for each in images}
        wanted = sorted({digests[key] for key in marked} - {""})
        results, error = self._delete(wanted, name) if wanted else ({}, None)
        gone = []
        for key, known in marked.items():
            result = results.get(digests[key], "") if digests[key] else "gone"
            if result in ("removed", "gone"):
                meta = known["metadata"]
                place = (CONFIG_MAP, self._place.namespace, meta["name"])
                self._client.delete(*place, uid=meta["uid"])
                gone.append(key)
            else:
                self._unmark(known)
                kept[key] = (
                    FOREIGN if result else error.message if error else "the Job did not report it"
                )
        if error:
            return Removed(tuple(gone), kept, error.message, error.hint)
        return Removed(tuple(gone), kept)

    def _mark(self, image: KeptEnvironment, job: str) -> Object | str:
        """Mark an image's ConfigMap for removal, or return why it cannot be removed."""
        namespace, name = self._place.namespace, site.object_name(image.name)
        known = self._client.find(CONFIG_MAP, namespace, name)
        if known is None:
            return "it is gone already"
        before = site.removal_of(known) or ("" if image.image else name)
        other = self._client.find(JOB, namespace, before) if before else None
        if other and not jobresults.ended(other):
            return f"the Job {before} is at it"
        try:
            return self._client.replace(site.annotated(known, site.REMOVAL, job))
        except Conflict:
            return "it was changed meanwhile"

    def _unmark(self, known: Object) -> None:
        self._client.replace(site.annotated(known, site.REMOVAL, ""))

    def _delete(
        self, digests: Sequence[str], name: str
    ) -> tuple[Mapping[str, str], VersionFailure | None]:
        """Run the Job; return its result for each digest, and its error."""
        namespace = self._place.namespace
        made = self._client.create(buildjob.removal_job(name, digests, self._place))
        while not jobresults.ended(job := self._job(name)):
            if self._stopping.wait(LOOK_SECONDS):
                raise Stopped
        pod = jobresults.pod_of(self._client, namespace, name)
        log = (
            self._client.pods.logs(namespace, pod["metadata"]["name"], lines=MOST * 2)
            if pod
            else ""
        )
        reported = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        results = {str(each["digest"]): str(each["result"]) for each in reported}
        error: VersionFailure | None = None
        if jobresults.termination_message(pod).get("reason"):
            error = jobresults.failure(job, pod, self._place)
        elif jobresults.condition(job, "Failed"):
            error = TargetUnavailable(
                "The Job that removes images did not come to its end: "
                f"{(pod and waiting(pod)) or 'it left no message'}.",
                "Ask again: schnitzel image collect",
            )
        self._client.delete(JOB, namespace, name, uid=made["metadata"]["uid"])
        return results, error

    def _job(self, name: str) -> Object:
        found = self._client.find(JOB, self._place.namespace, name)
        if found is None:
            raise TargetUnavailable(
                "The Job that removes images was deleted before it ended.",
                "Ask again: schnitzel image collect",
            )
        return found
