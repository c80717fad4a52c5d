"""Keep the objects and the status of the SeldonDeployments of some namespaces."""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from standins.seldon import objects, status
from standins.seldon.api import Api, Refused
from standins.seldon.pods import Object
from standins.seldon.servers import NoServer

LAST_APPLIED = "seldon.io/last-applied"
RESYNC = 3.0
"""Seconds between two looks where nothing happened."""
PACE = 0.1
"""News that come together are looked at together: a look lists everything."""
MADE = ("Deployment", "Service", "Pod")
LOOPING = 0.01
BURST = 22
"""Writes of a loop in one go, without a pause between goes: the operator's 22 in a second leave the
Deployment's controller no moment to write; here, on a busy machine, it takes more."""


@dataclass
class Live:
    """What a resource's objects are, by name."""

    deployments: dict[str, Object]
    services: dict[str, Object]
    pods: list[Object]


class Loop:
    """The stand-in at work.

    Args:
        api: the cluster.
        prefix: only namespaces whose name begins with it are looked after.
        config: `predictor_servers`.
        initializer: the image that fetches models.
    """

    def __init__(self, api: Api, prefix: str, config: Mapping[str, Any], initializer: str) -> None:
        self._api, self._prefix = api, prefix
        self._config, self._initializer = config, initializer
        self._news = threading.Event()
        self._looping: dict[str, int] = {}

    def run(self) -> None:
        """Go on until the process ends. Raises IndexError for a resource without predictors."""
        for kind in ("SeldonDeployment", *MADE):
            labels = _MANAGED if kind in MADE else ""
            threading.Thread(target=self._watch, args=(kind, labels), daemon=True).start()
        while True:
            self._news.clear()
            try:
                self.look()
            except (httpx.HTTPError, Refused) as error:
                _say(f"looking again: {error}")
            if self._news.wait(LOOPING if self._looping else RESYNC) and not self._looping:
                time.sleep(PACE)

    def look(self) -> None:
        """One look at every resource."""
        resources = [r for r in self._api.list("SeldonDeployment") if self._mine(r)]
        if not resources:
            return
        seen = {kind: self._api.list(kind, _MANAGED) for kind in MADE}
        for resource in resources:
            if "deletionTimestamp" in resource["metadata"]:
                continue
            live = Live(
                _by_name(seen["Deployment"], resource),
                _by_name(seen["Service"], resource),
                list(_by_name(seen["Pod"], resource).values()),
            )
            try:
                self._one(resource, live)
            except Refused as error:
                if error.code == 422:
                    self._tell(resource, status.failed(str(error)))
                else:  # a conflict: "harmless"
                    _say(f"{resource['metadata']['name']}: {error}")
                    self._news.set()

    def _one(self, resource: Object, live: Live) -> None:
        try:
            wanted = objects.wanted(resource, self._config, self._initializer)
        except NoServer as error:
            self._tell(resource, status.failed(str(error)))
            return
        for obj in wanted.deployments:
            name = obj["metadata"]["name"]
            live.deployments[name] = self._have(
                obj, live.deployments.get(name), unsized=name in wanted.unsized
            )
        for obj in wanted.services:
            name = obj["metadata"]["name"]
            live.services[name] = self._have(obj, live.services.get(name))
        told = status.status(wanted, live.deployments, live.services)
        self._tell(resource, told)
        if told["state"] == status.AVAILABLE:
            self._clean(wanted, live)

    def _have(self, obj: Object, found: Object | None, *, unsized: bool = False) -> Object:
        """Make an object, or make it as wanted again; the live one."""
        if found is None:
            return self._made(obj)
        key = found["metadata"]["uid"]
        looping = unsized and (key in self._looping or _differs(found, obj))
        if not looping:
            self._looping.pop(key, None)
            if not _differs(found, obj):
                return found
            return self._put(obj, found, "")
        for _ in range(BURST):
            self._looping[key] = self._looping.get(key, 0) + 1
            found = self._put(obj, found, str(self._looping[key]))
        return found

    def _made(self, obj: Object) -> Object:
        try:
            return self._api.create(obj)
        except Refused as error:
            if error.code == 409:
                self._news.set()
            raise

    def _put(self, obj: Object, found: Object, mark: str) -> Object:
        """Write an object; `mark` makes each write of a loop another one, as the operator's are."""
        written = copy.deepcopy(obj)
        notes = found["metadata"].get("annotations") or {}
        kept = {k: v for k, v in notes.items() if k.startswith("deployment.kubernetes.io/")}
        own = {LAST_APPLIED: mark} if mark else {}
        written["metadata"]["annotations"] = kept | written["metadata"]["annotations"] | own
        written["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        if obj["kind"] == "Service":
            addresses = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
            written["spec"] |= {k: found["spec"][k] for k in addresses if k in found["spec"]}
        if obj["kind"] == "Deployment" and not mark and "replicas" not in obj["spec"]:
            written["spec"]["replicas"] = found["spec"]["replicas"]  # an autoscaler's
        return self._api.replace(written)

    def _clean(self, wanted: objects.Wanted, live: Live) -> None:
        """What is wanted no more goes once the rest is ready, Services after their pods."""
        keep = {d["metadata"]["name"] for d in wanted.deployments}
        for name, obj in live.deployments.items():
            if name not in keep:
                self._api.delete(obj)
        keep = {s["metadata"]["name"] for s in wanted.services}
        for name, obj in live.services.items():
            chosen = obj["spec"].get("selector", {}).items()
            if name not in keep and not any(
                chosen <= (pod["metadata"].get("labels") or {}).items() for pod in live.pods
            ):
                self._api.delete(obj)

    def _tell(self, resource: Object, told: Object) -> None:
        if resource.get("status") != told:
            self._api.put_status({**resource, "status": told})

    def _mine(self, resource: Object) -> bool:
        namespace: str = resource["metadata"]["namespace"]
        return namespace.startswith(self._prefix)

    def _watch(self, kind: str, labels: str) -> None:
        while True:
            with suppress(httpx.HTTPError, Refused):
                for _ in self._api.changes(kind, labels):
                    self._news.set()
            time.sleep(0.2)


_MANAGED = f"app.kubernetes.io/managed-by={objects.MANAGED}"


def _by_name(found: list[Object], resource: Object) -> dict[str, Object]:
    meta = resource["metadata"]
    return {
        obj["metadata"]["name"]: obj
        for obj in found
        if obj["metadata"]["namespace"] == meta["namespace"]
        and (obj["metadata"].get("labels") or {}).get(objects.ID) == meta["name"]
    }


def _differs(found: Object, wanted: Object) -> bool:
    """Whether a live object lacks something that is wanted, or has a label or note too many."""
    kept = {
        k: v
        for k, v in (found["metadata"].get("annotations") or {}).items()
        if not k.startswith(("deployment.kubernetes.io/", LAST_APPLIED))
    }
    if kept != wanted["metadata"]["annotations"] or not _within(wanted, found):
        return True
    return _template(wanted, "labels") != _template(found, "labels")


def _template(obj: Object, part: str) -> Callable[[], Any] | Any:
    return obj["spec"].get("template", {}).get("metadata", {}).get(part)


def _within(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            _within(value, found.get(name)) for name, value in wanted.items() if value is not None
        )
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(wanted) == len(found)
        return same and all(_within(a, b) for a, b in zip(wanted, found, strict=True))
    if wanted in ("", False, 0) and found is None:
        return True
    return bool(wanted == found)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
