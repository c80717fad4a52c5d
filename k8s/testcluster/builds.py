"""Build programs from Go modules, once for each content.

Kubernetes with etcd, CoreDNS, crane and helm are published as Go modules; GOPROXY and its kin come
from the environment. `bin/` holds links under the programs' names to the builds of this checkout.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testcluster.console import step
from testcluster.errors import ClusterError
from testcluster.locks import locked

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
        usually: how long it takes on two cores when nothing is cached.
    """

    module: str
    names: tuple[str, ...]
    package: str = "."
    versioned: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    usually: str = field(default="", repr=False)

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


HELM = Build(
    "helm",
    ("helm",),
    package="helm.sh/helm/v4/cmd/helm",
    versioned="helm.sh/helm/v4",
    variables=(("helm.sh/helm/v4/internal/version.version", "{version}"),),
    usually="1 min",
)
KUBERNETES = Build(
    "node",
    (
        *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
        *("kubelet", "kubectl"),
    ),
    versioned="k8s.io/kubernetes",
    variables=(
        ("k8s.io/component-base/version.gitVersion", "{version}"),
        ("k8s.io/component-base/version.gitMajor", "{major}"),
        ("k8s.io/component-base/version.gitMinor", "{minor}"),
    ),
    usually="5 min",
)
GATEWAY_API = Build("gateway-api", (), usually="2 s")
"""CRDs, which are copied from the module."""
CONTROL_PLANE = (KUBERNETES, GATEWAY_API)
BUILDS = (
    HELM,  # first, since the charts' tests begin with it
    *CONTROL_PLANE,
    Build("pause", ("pause",), usually="5 s"),
    Build("dns", ("coredns",), usually="30 s"),
    Build("crane", ("crane",), "github.com/google/go-containerregistry/cmd/crane", usually="10 s"),
)
COMPOSE = Build(
    "compose",
    ("docker-compose",),
    package="github.com/docker/compose/v2/cmd",
    versioned="github.com/docker/compose/v2",
    variables=(("github.com/docker/compose/v2/internal.Version", "{version}"),),
    usually="1 min",
)
"""For the test of docker-compose.yml; no cluster needs it."""
_CRDS = "sigs.k8s.io/gateway-api"


def ensure(cache: Path, wanted: Sequence[Build] = BUILDS) -> None:
    """Build what is not in the cache, one after the other, and point `bin/` at it.

    Raises:
        ClusterError: there is no Go, or a build failed; with the end of its output.
    """
    for build in wanted:
        target = _target(cache, build)
        if not target.exists():
            with locked(cache / "locks" / build.module):
                if not target.exists():  # somebody else's, meanwhile
                    _make(cache, build, target)
        for name in build.names:
            _link(cache / "bin" / name, target)


def _target(cache: Path, build: Build) -> Path:
    return cache / "builds" / f"{build.module}-{build.digest}"


def gateway_crds(cache: Path) -> Path:
    """The folder of the Gateway API's standard CRDs."""
    return _target(cache, GATEWAY_API)


def _make(cache: Path, build: Build, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in target.parent.glob(f".{target.name}.*"):
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink()
    what = ", ".join(build.names) or build.module
    with step(f"building {what}", f"{build.usually} with an empty cache"):
        if build is GATEWAY_API:
            _copy_crds(cache, target)
        else:
            _compile(cache, build, target)


def _compile(cache: Path, build: Build, target: Path) -> None:
    version = _version(build.folder / "go.mod", build.versioned) if build.versioned else "v0.0.0"
    major, minor, _ = version.removeprefix("v").split(".")
    values = [
        f"{name}={value.format(version=version, major=major, minor=minor)}"
        for name, value in build.variables
    ]
    flags = " ".join(["-s", "-w", *(f"-X {value}" for value in values)])
    output = target.with_name(f".{target.name}.{os.getpid()}")
    _go(
        cache,
        *(build.folder, "build", "-trimpath", "-buildvcs=false"),
        # Nobody debugs them, and a build costs more than they run: without DWARF the cache is a
        # quarter smaller, without inlining a build takes a fifth less.
        *("-gcflags", "all=-dwarf=false -l", "-ldflags", flags),
        *("-o", str(output), build.package),
    )
    output.rename(target)


def _copy_crds(cache: Path, target: Path) -> None:
    folder = GATEWAY_API.folder
    _go(cache, folder, "mod", "download", _CRDS)
    source = _go(cache, folder, "list", "-m", "-f", "{{.Dir}}", _CRDS).strip()
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


def _go(cache: Path, folder: Path, *arguments: str) -> str:
    if shutil.which("go") is None:
        raise ClusterError(
            "Go is not on PATH: the cluster's programs are built from Go modules.",
            "Install the Go that k8s/testcluster/go/node/go.mod names, or a newer one.",
        )
    own = {
        # The answers of cgo's resolver and user database are not needed, its C compiler neither.
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GOGC": "400",  # memory for time: a tenth less
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        # A module cache that can be deleted like any other folder.
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
    }
    done = subprocess.run(
        # It ends with this thread: no build goes on beside the next one.
        ["setpriv", "--pdeathsig", "TERM", "nice", "-n", "5", "go", *arguments],
        check=False,
        cwd=folder,
        env=os.environ | own,
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
