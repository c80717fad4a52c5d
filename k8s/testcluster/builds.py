"""In: Go modules with their checksums. Out: programs in the cache, built once for each content.

Kubernetes, CoreDNS, crane and helm are published as Go modules; GOPROXY and its kin come from the
environment. `bin/` holds links under the programs' names to the builds of this checkout.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testcluster.console import say
from testcluster.errors import ClusterError

SOURCES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Build:
    """A Go module of ours and what comes of it.

    Attributes:
        module: its folder below `go/`.
        names: what the program is called by; a node's programs are one binary.
        package: the module's own by default.
        versioned: the module whose version the program shall know as its own.
        variables: where it looks for that, which an official build fills in.
    """

    module: str
    names: tuple[str, ...]
    package: str = "."
    versioned: str = ""
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return SOURCES / self.module

    @property
    def digest(self) -> str:
        """Changes with everything that is built."""
        digest = hashlib.sha256(repr(self).encode())
        for path in sorted(self.folder.iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


BUILDS = (
    Build(
        "node",
        (
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
            *("kubelet", "kubectl"),
        ),
        versioned="k8s.io/kubernetes",
        variables=(
            ("k8s.io/component-base/version.gitVersion", "{version}"),
            ("k8s.io/component-base/version.gitMajor", "{major}"),
            ("k8s.io/component-base/version.gitMinor", "{minor}"),
        ),
    ),
    Build("pause", ("pause",)),
    Build("crane", ("crane",), "github.com/google/go-containerregistry/cmd/crane"),
    Build("dns", ("coredns",)),
    Build(
        "helm",
        ("helm",),
        package="helm.sh/helm/v4/cmd/helm",
        versioned="helm.sh/helm/v4",
        variables=(("helm.sh/helm/v4/internal/version.version", "{version}"),),
    ),
)
COMPOSE = Build(
    "compose",
    ("docker-compose",),
    package="github.com/docker/compose/v2/cmd",
    versioned="github.com/docker/compose/v2",
    variables=(("github.com/docker/compose/v2/internal.Version", "{version}"),),
)
"""For the test of docker-compose.yml; no cluster needs it."""
CRDS = "sigs.k8s.io/gateway-api"


def ensure(cache: Path, wanted: Sequence[Build] = BUILDS) -> None:
    """Build what is not in the cache, and point `bin/` at it.

    Raises:
        ClusterError: there is no Go, or a build failed; with the end of its output.
    """
    for build in wanted:
        target = cache / "builds" / f"{build.module}-{build.digest}"
        if not target.exists():
            _build(build, target)
        for name in build.names:
            _link(cache / "bin" / name, target)
    if wanted is BUILDS:
        _gateway_api(cache)


def gateway_crds(cache: Path) -> Path:
    """The folder of the Gateway API's standard CRDs."""
    return cache / "builds" / f"gateway-api-{Build('gateway-api', ()).digest}"


def _build(build: Build, target: Path) -> None:
    say(f"==> building {', '.join(build.names)} (once)")
    target.parent.mkdir(parents=True, exist_ok=True)
    version = _version(build.folder / "go.mod", build.versioned) if build.versioned else "v0.0.0"
    major, minor, _ = version.removeprefix("v").split(".")
    values = [
        f"{name}={value.format(version=version, major=major, minor=minor)}"
        for name, value in build.variables
    ]
    flags = " ".join(["-s", "-w", *(f"-X {value}" for value in values)])
    output = target.with_name(f".{target.name}.{os.getpid()}")
    _go(
        *(build.folder, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags),
        *("-o", str(output), build.package),
    )
    output.rename(target)


def _gateway_api(cache: Path) -> None:
    target = gateway_crds(cache)
    if target.exists():
        return
    folder = Build("gateway-api", ()).folder
    _go(folder, "mod", "download", CRDS)
    source = _go(folder, "list", "-m", "-f", "{{.Dir}}", CRDS).strip()
    copy = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copytree(Path(source) / "config/crd/standard", copy, copy_function=shutil.copyfile)
    copy.chmod(0o755)
    copy.rename(target)


def _version(path: Path, module: str) -> str:
    pattern = rf"^\s*(?:require )?{re.escape(module)} (v\S+)"
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{path} does not require {module}.")
    return found[1]


def _go(folder: Path, *arguments: str) -> str:
    if shutil.which("go") is None:
        raise ClusterError(
            "Go is not on PATH: the cluster's programs are built from Go modules.",
            "Install the Go that k8s/testcluster/go/node/go.mod names, or a newer one.",
        )
    done = subprocess.run(
        ["nice", "-n", "5", "go", *arguments],
        check=False,
        cwd=folder,
        # The answers of cgo's resolver and user database are not needed, its C compiler neither.
        env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-15:])
        raise ClusterError(f"go {arguments[0]} in {folder} failed:\n{last}")
    return done.stdout


def _link(path: Path, target: Path) -> None:
    wanted = os.path.relpath(target, path.parent)
    if path.is_symlink() and os.readlink(path) == wanted:  # noqa: PTH115 - compared as text
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.symlink_to(wanted)
    new.replace(path)
