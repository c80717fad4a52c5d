# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""Ask a registry for images, and push new ones.

crane speaks to the registry, with the credentials in DOCKER_CONFIG
(https://github.com/google/go-containerregistry/tree/main/cmd/crane).
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from failures import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPES = {
    OCI: "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.distribution.manifest.v2+json": (
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    ),
}
_ABSENT = re.compile(r"MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|status code 404|not found")
_UNDELETABLE = re.compile(r"UNSUPPORTED|status code 405")
_REFUSED = re.compile(r"UNAUTHORIZED|DENIED|status code 40[13]|no basic auth|Unauthorized")


@dataclass(frozen=True)
class Image:
    """An image for this machine's architecture: its name by digest, manifest and configuration."""

    name: str
    manifest: dict[str, Any]
    config: dict[str, Any]

    @property
    def digest(self) -> str:
        """Its digest, "sha256:..."."""
        return self.name.rpartition("@")[2]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return (self.config.get("config") or {}).get("Labels") or {}


class Registry:
    """All registries that crane reaches; `insecure` ones speak plain HTTP."""

    def __init__(self, *, insecure: bool) -> None:
        machine = platform.machine()
        self._options = [f"--platform=linux/{ARCHITECTURES.get(machine, machine)}"]
        self._options += ["--insecure"] if insecure else []

    def find(self, name: str) -> Image | None:
        """Return an image, or None if there is none of that name."""
        try:
            digest = self._crane("digest", name).strip()
        except Failed as error:
            if _ABSENT.search(error.log):
                return None
            raise
        by_digest = f"{_repository(name)}@{digest}"
        manifest = json.loads(self._crane("manifest", by_digest))
        return Image(by_digest, manifest, json.loads(self._crane("config", by_digest)))

    def labels(self, name: str) -> dict[str, str] | None:
        """Return the labels of an image, or None if there is none of that name."""
        try:
            config = json.loads(self._crane("config", name))
        except Failed as error:
            if _ABSENT.search(error.log):
                return None
            raise
        return (config.get("config") or {}).get("Labels") or {}

    def delete(self, name: str) -> None:
        """Take an image's manifest away; its layers go when the registry next clears up."""
        try:
            self._crane("delete", name)
        except Failed as error:
            raise undeletable(name, error) from error

    def append(self, base: Image, write: Callable[[IO[bytes]], int], name: str) -> Image:
        """Push `base` with one more layer, the tar that `write` writes, as `name`."""
        command = self._command("append", "-b", base.name, "-f", "-", "-t", name)
        with tempfile.TemporaryFile() as output:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output
            ) as process:
                pipe = process.stdin
                assert pipe is not None  # noqa: S101 - it was asked for
                try:
                    write(pipe)
                    pipe.close()
                except BrokenPipeError:  # crane ended, and says why
                    with suppress(BrokenPipeError):  # what was still to be written
                        pipe.close()
                except BaseException:
                    process.kill()  # half a layer is no layer
                    raise
            output.seek(0)
            if process.returncode:
                raise refusal(name, output.read().decode(errors="replace"))
        pushed = self.find(name)
        if pushed is None:  # so it may be where somebody else just removed the same
            message = f"{name} was pushed, and is not there."
            raise Failed("ImageRegistryUnreachable", message, "It is tried again.", transient=True)
        return pushed

    def assemble(self, base: Image, donor: Image, labels: Mapping[str, str], name: str) -> str:
        """Push `base` with the last layer of `donor`, and labels, as `name`; return its digest.

        No layer moves that the registry has: the donor's is in the same repository already, and
        the base's are put there by a copy of the base, which is not kept.
        """
        repository = _repository(name)
        if _repository(base.name) != repository:
            self._crane("copy", base.name, f"{repository}:base-{base.digest[7:19]}")
        config = json.loads(json.dumps(base.config))
        config.setdefault("config", {}).setdefault("Labels", None)
        config["config"]["Labels"] = {**base.labels, **labels}
        config["rootfs"]["diff_ids"].append(donor.config["rootfs"]["diff_ids"][-1])
        config.setdefault("history", []).append({"created_by": "schnitzel: the environment"})
        layer = {**donor.manifest["layers"][-1]}
        kind = base.manifest.get("mediaType", OCI)
        layer["mediaType"] = LAYER_TYPES[kind]
        content = json.dumps(config, sort_keys=True).encode()
        described = {**base.manifest["config"], **_descriptor(content)}
        manifest = {
            **base.manifest, "config": described, "layers": [*base.manifest["layers"], layer]
        }  # fmt: skip
        written = json.dumps(manifest, sort_keys=True).encode()
        with tempfile.TemporaryDirectory() as folder:
            _layout(Path(folder), kind, written, content)
            self._crane("push", folder, name)
        if _repository(base.name) != repository:
            with suppress(Failed):  # where nothing may be deleted, it stays
                self.delete(f"{repository}@{base.digest}")
        return f"sha256:{hashlib.sha256(written).hexdigest()}"

    def _command(self, *arguments: str) -> list[str]:
        return ["crane", *arguments, *self._options]

    def _crane(self, *arguments: str) -> str:
        done = subprocess.run(self._command(*arguments), capture_output=True, check=False)
        if done.returncode:
            name = next(each for each in arguments[1:] if "/" in each)
            raise refusal(name, done.stderr.decode(errors="replace"))
        return done.stdout.decode()


def refusal(name: str, output: str) -> Failed:
    """Return why crane failed on the image `name`."""
    host = name.partition("/")[0]
    lines = [line for line in output.strip().splitlines() if "Error" in line] or [output.strip()]
    said = re.sub(r"://[^/@\s]+@", "://***@", lines[-1].removeprefix("Error: "))[:400]
    if _REFUSED.search(output):
        return Failed(
            "ImageRegistryRefused",
            f"The registry {host} refuses us {name}: {said}",
            "Name a secret that may pull and push there as registry.push_secret of the cluster in "
            "platform.yaml.",
            transient=True,  # the secret can be corrected meanwhile
            log=output,
        )
    if "HTTP response to HTTPS client" in output:
        return Failed(
            "ImageRegistryRefused",
            f"The registry {host} speaks plain HTTP, and is asked for HTTPS.",
            "Set registry.insecure: true for the cluster in platform.yaml, or have it speak TLS.",
            log=output,
        )
    if "certificate" in output:
        return Failed(
            "ImageRegistryRefused",
            f"The registry {host} is not trusted: {said}",
            "Name the ConfigMap with its authority as build.trust_bundle of the cluster.",
            log=output,
        )
    if _ABSENT.search(output):
        return Failed(
            "ImageMissing",
            f"There is no image {name}.",
            "Push it (make images-push), or correct its name in platform.yaml.",
            log=output,
        )
    return Failed(
        "ImageRegistryUnreachable",
        f"The registry {host} does not take or give {name}: {said}",
        "It is retried automatically. Is the registry up, and can Jobs reach it?",
        transient=True,
        log=output,
    )


def undeletable(name: str, error: Failed) -> Failed:
    """Return why the image `name` cannot be deleted, after crane failed at it."""
    host = name.partition("/")[0]
    if _UNDELETABLE.search(error.log):
        return Failed(
            "DeletionUnsupported",
            f"The registry {host} does not let images be deleted.",
            "Allow it there (docker-registry: storage.delete.enabled: true), or let the registry "
            "expire what nobody pulls.",
            log=error.log,
        )
    hint = error.hint
    if _REFUSED.search(error.log):
        hint = "Give the login in registry.push_secret of the cluster the right to delete."
    return Failed(error.reason, error.message, hint, transient=error.transient, log=error.log)


def _repository(name: str) -> str:
    return re.sub(r"(@sha256:[0-9a-f]{64}|:[\w.-]{1,128})$", "", name)


def _descriptor(content: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _layout(folder: Path, kind: str, *blobs: bytes) -> None:
    """Write an OCI layout with one manifest, the first blob, and without its layers.

    https://github.com/opencontainers/image-spec/blob/main/image-layout.md
    """
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True)
    for blob in blobs:
        (place / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    index = {"schemaVersion": 2, "manifests": [{"mediaType": kind, **_descriptor(blobs[0])}]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
