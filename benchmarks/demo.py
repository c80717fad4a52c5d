"""How long `make demo` takes on a fresh clone with empty caches, and when run a second time.

    python benchmarks/demo.py [REPOSITORY]      # this checkout's repository by default

Cold: a new clone, and empty SCHNITZEL_CACHE, SCHNITZEL_HOME and caches of pip and uv; so what is
fetched comes over the network. Warm: `make down`, then `make demo` again in the same clone. Each
stage is timed by the line that announces it. Takes minutes, and two cores for themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIMS = {"cold": 240.0, "warm": 60.0}
STAGE = "==> "


def main(repository: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        clone = Path(folder) / "schnitzel"
        subprocess.run(["git", "clone", "--quiet", repository, str(clone)], check=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SCHNITZEL_", "MLFLOW_", "UV_CACHE", "PIP_CACHE", "PYTHON"))
        } | {
            "SCHNITZEL_CACHE": f"{folder}/cache",
            "SCHNITZEL_HOME": f"{folder}/home",
            "XDG_CACHE_HOME": f"{folder}/cache-of-others",
            "NO_COLOR": "1",
        }
        try:
            for name in ("cold", "warm"):
                told(name, demo(clone, environment))
                make(clone, environment, "down")
        finally:
            make(clone, environment, "down")


def demo(clone: Path, environment: dict[str, str]) -> list[tuple[str, float]]:
    """Run it once; the stages with their seconds, in order."""
    stages = [("make", time.perf_counter())]
    lines = []
    with subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line)
            if line.startswith(STAGE):
                stages.append((line.removeprefix(STAGE).split("(")[0].strip(), time.perf_counter()))
    assert running.returncode == 0, "".join(lines[-60:])
    assert any('"predictions"' in line for line in lines)
    ends = [began for _, began in stages[1:]] + [time.perf_counter()]
    return [(name, end - began) for (name, began), end in zip(stages, ends, strict=True)]


def make(clone: Path, environment: dict[str, str], target: str) -> None:
    """Run another target."""
    subprocess.run(["make", target], cwd=clone, env=environment, check=True, capture_output=True)


def told(name: str, stages: list[tuple[str, float]]) -> None:
    """Print the sum and the stages."""
    whole = sum(seconds for _, seconds in stages)
    print(f"make demo, {name}: {whole:.0f} s (aim {AIMS[name]:.0f} s)")
    for stage, seconds in stages:
        print(f"  {seconds:6.1f} s  {stage}")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parents[1]))
