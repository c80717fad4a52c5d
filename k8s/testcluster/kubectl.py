"""Run kubectl, or apply objects with it."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from testcluster.errors import ClusterError
from testcluster.layout import Layout


def kubectl(
    layout: Layout, *arguments: str, check: bool = True, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the kubectl that was built with the cluster, as its administrator.

    Raises:
        ClusterError: it failed and `check` is set.
    """
    command = [str(layout.bin / "kubectl"), "--kubeconfig", str(layout.kubeconfig), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    if check and done.returncode != 0:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done


def apply(layout: Layout, objects: Sequence[dict[str, Any]]) -> None:
    """Server-side apply."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    flags = ("--server-side", "--force-conflicts", "--field-manager=testcluster")
    kubectl(layout, "apply", *flags, "-f", "-", text=document)
