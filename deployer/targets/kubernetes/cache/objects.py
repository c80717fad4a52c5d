"""Pack objects of the API server into small frozen ones.

Ten thousand deployments have some fifty thousand objects. As dictionaries they would take
gigabytes; here each keeps its identity, a fingerprint of all that an operator or the Deployer may
set, and its text, compressed against the first object of its kind, which nearly all of the others
resemble.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final, NamedTuple

import orjson

from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT, Kind

PLATFORM: Final = "schnitzel.dev/platform"
DEPLOYMENT_ID: Final = "schnitzel.dev/deployment"
PREDICTOR: Final = "schnitzel.dev/predictor"
APPLIED: Final = "schnitzel.dev/applied"
"""Annotation: the SHA-256 of the manifest that the Deployer applied last."""

MANAGER: Final = "schnitzel"
WINDOW: Final = 32768
"""Bytes of a dictionary that zlib can look back on."""

LEVEL: Final = 3
"""Half of level 6's time; a Deployment takes 185 bytes in place of 154."""

VOLATILE: Final = frozenset({"managedFields", "resourceVersion", "generation", "selfLink"})
"""Metadata that changes with every write, and says nothing about the fields that were set."""

REVISION: Final = "deployment.kubernetes.io/revision"
"""Annotation that Kubernetes counts a Deployment's rollouts in: a report, though no status."""


class Key(NamedTuple):
    """The identity of an object in one cluster."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a deployment's objects. `uid` is the ModelDeployment's."""

    platform: str
    deployment: str
    uid: str


@dataclass(frozen=True, slots=True)
class LiveObject:
    """An object as last seen; equal fingerprints mean that no field that can be set differs."""

    key: Key
    kind: Kind = field(repr=False)
    uid: str
    resource_version: str
    generation: int
    platform: str
    deployment: str
    predictor: str
    applied: str
    fingerprint: bytes = field(repr=False)
    deleting: bool
    owners: tuple[str, ...]
    """The uids of its owners."""
    managers: tuple[str, ...]
    """The managers of its fields, the status apart: "schnitzel/Apply", "kubectl-edit/Update"."""
    packed: bytes = field(repr=False, compare=False)
    template: bytes = field(repr=False, compare=False)

    @property
    def has_pods(self) -> bool:
        """Whether the Deployer made the object and it owns pods: a new one makes the pods anew."""
        return self.kind in (DEPLOYMENT, SELDON_DEPLOYMENT) and bool(self.applied)

    def object(self) -> dict[str, Any]:
        """Unpack the whole object, without managedFields; a new dictionary at each call."""
        unpack = zlib.decompressobj(zdict=self.template) if self.template else zlib.decompressobj()
        whole = orjson.loads(unpack.decompress(self.packed))
        assert isinstance(whole, dict)  # noqa: S101 - we packed one
        return whole


class Packer:
    """A packer of one kind, whose objects share the text that they have in common."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._template = b""
        self._managers: dict[tuple[str, ...], tuple[str, ...]] = {}

    def pack(self, obj: Mapping[str, Any]) -> LiveObject:
        """Pack an object."""
        kind = self._kind
        meta = dict(obj["metadata"])
        managers = tuple(
            f"{entry['manager']}/{entry['operation']}"
            for entry in meta.pop("managedFields", None) or ()
            if not entry.get("subresource")
        )
        labels = meta.get("labels") or {}
        # An object of a list has neither, or has them last: here they are first, as elsewhere.
        whole = {
            "apiVersion": kind.api_version, "kind": kind.name, **obj, "metadata": meta
        }  # fmt: skip
        text = orjson.dumps(whole)
        template = self._template or text[:WINDOW]
        self._template = template
        packing = zlib.compressobj(LEVEL, zdict=template)
        packed = packing.compress(text) + packing.flush()
        deployment = intern(labels.get(DEPLOYMENT_ID, ""))
        return LiveObject(
            key=Key(kind.name, intern(meta.get("namespace", "")), intern(meta["name"])),
            kind=kind,
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            generation=meta.get("generation", 0),
            platform=intern(labels.get(PLATFORM, "")),
            deployment=deployment,
            predictor=intern(labels.get(PREDICTOR, "")),
            applied=(meta.get("annotations") or {}).get(APPLIED, ""),
            fingerprint=_fingerprint(whole),
            deleting="deletionTimestamp" in meta,
            owners=tuple(intern(owner["uid"]) for owner in meta.get("ownerReferences") or ()),
            managers=self._managers.setdefault(managers, managers),
            packed=packed,
            template=template,
        )


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Return the identity of a manifest's object."""
    meta = manifest["metadata"]
    return Key(manifest["kind"], meta.get("namespace", ""), meta["name"])


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Hash a manifest to hex SHA-256: equal for equal manifests, whatever their order of keys.

    The hash leaves out our annotation of it.
    """
    meta = dict(manifest["metadata"])
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != APPLIED}
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    text = orjson.dumps({**manifest, "metadata": meta}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


def _fingerprint(whole: Mapping[str, Any]) -> bytes:
    meta = {name: value for name, value in whole["metadata"].items() if name not in VOLATILE}
    if REVISION in (annotations := meta.get("annotations") or {}):
        meta["annotations"] = {key: text for key, text in annotations.items() if key != REVISION}
    kept = {name: value for name, value in whole.items() if name != "status"} | {"metadata": meta}
    # In the server's own order of keys, which never differs: sorting takes longer than the rest.
    return hashlib.blake2b(orjson.dumps(kept), digest_size=16).digest()
