"""Make ready, beside the tests, what takes long: packages, programs, a control plane, a node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from support import ROOT
from support.systems.cluster import state_folder

from lanes.results import minutes

TESTCLUSTER = (sys.executable, str(ROOT / "k8s/testcluster"))
IMAGES = (
    "import sys; sys.path.insert(0, 'tests'); "
    "from support.systems.cluster import cluster; from support.systems.images import NAMES, built; "
    "built(cluster(), *NAMES)"
)


class Step(NamedTuple):
    """A command; "usually" is how long it takes the first time."""

    name: str
    usually: str
    command: Sequence[str]


@dataclass
class Preparation:
    """Steps one after the other, in a thread; who needs their end waits for it."""

    steps: list[Step]
    folder: Path
    env: dict[str, str]
    say: Callable[[str], None]
    after: Preparation | None = None
    current: str = ""
    failure: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin; returns at once."""
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self) -> str:
        """Wait until all is ready; what failed, or nothing."""
        self.done.wait()
        return self.failure

    def _run(self) -> None:
        try:
            if self.after and (failure := self.after.wait()):
                self.failure = failure
                return
            for step in self.steps:
                self.current = f"{step.name} (the first time {step.usually})"
                if failure := self._take(step):
                    self.failure = failure
                    self.say(failure)
                    return
        finally:
            self.current = ""
            self.done.set()

    def _take(self, step: Step) -> str:
        log = self.folder / f"prepare-{step.name.replace(' ', '-')}.log"
        begun = time.monotonic()
        with log.open("wb") as output:
            ended = subprocess.run(
                step.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            return f"{step.name} failed:\n{last}"
        self.say(f"ready: {step.name} ({minutes(time.monotonic() - begun)})")
        return ""


@dataclass
class Ground:
    """What the lanes stand on: made ready in the background, taken down at the end."""

    folder: Path
    say: Callable[[str], None]
    needs: frozenset[str]
    env: dict[str, str]
    ours: dict[str, Path] = field(default_factory=dict)
    ready: dict[str, Preparation] = field(default_factory=dict)

    def begin(self) -> None:
        """Start what is needed: packages, then programs and a control plane, beside them a node."""
        packages = self._prepare("packages", None, PACKAGES)
        if not self.needs or "SCHNITZEL_TEST_KUBECONFIG" in os.environ:
            return
        plane = self.folder / "control-plane"
        steps = [Step("helm", "2 min", (*TESTCLUSTER, "build", "helm"))]
        if "control plane" in self.needs:
            up = (*TESTCLUSTER, "up", "--control-plane-only", "--state", str(plane))
            steps.append(Step("control plane", "8 min: Kubernetes is built", up))
            self.env["SCHNITZEL_TEST_CONTROL_PLANE"] = str(plane)
            self.ours["control plane"] = plane
        control = self._prepare("control plane", packages, *steps)
        if "node" in self.needs:
            if not (state_folder() / "facts.json").exists():
                self.ours["node"] = state_folder()
            self._prepare("node", control, *NODE)

    def wait(self, need: str) -> str:
        """Wait until what a lane needs is ready; why it is not, or nothing."""
        return self.ready[need].wait() if need in self.ready else ""

    def doing(self) -> list[str]:
        """What is being made ready now."""
        return [one.current for one in self.ready.values() if one.current]

    def release(self, need: str) -> None:
        """Take down what no lane needs any more, if it was brought up here."""
        state = self.ours.pop(need, None)
        if state and state.exists():
            down = [*TESTCLUSTER, "down", "--state", str(state)]
            subprocess.run(down, check=False, capture_output=True)

    def end(self) -> None:
        """Take down all that was brought up here."""
        for need in list(self.ours):
            self.release(need)

    def _prepare(self, need: str, after: Preparation | None, *steps: Step) -> Preparation:
        made = Preparation(list(steps), self.folder, self.env, self.say, after)
        self.ready[need] = made
        made.start()
        return made


PACKAGES = Step("packages", "1 min", (str(ROOT / "scripts/system-packages.sh"),))
NODE = (
    Step("node", "4 min", (*TESTCLUSTER, "up")),
    Step("images", "4 min", (sys.executable, "-c", IMAGES)),
)


def impossible() -> str:
    """Why this machine can have neither a control plane nor a node; nothing if it can."""
    if "SCHNITZEL_TEST_KUBECONFIG" in os.environ:
        return ""
    needs = {"root": os.geteuid() == 0, "Debian": shutil.which("apt-get")}
    missing = [what for what, met in needs.items() if not met]
    return f"needs {' and '.join(missing)}, or a cluster (make kind)" if missing else ""
