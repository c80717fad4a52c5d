"""In: the pods of a predictor. Out: the last lines that they wrote, also before a restart."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.targets.kubernetes.apierrors import ApiError
from deployer.targets.kubernetes.connection import Client
from deployer.targets.kubernetes.objects import LiveObject
from deployer.targets.kubernetes.rendering import SERVER


def lines_of(client: Client, pods: Sequence[LiveObject], lines: int) -> str:
    """The last lines of each pod's model server; several pods are told apart by a heading."""
    found = []
    for pod in sorted(pods, key=lambda pod: pod.key.name):
        text = _log(client, pod, lines)
        found.append(f"==> {pod.key.name} <==\n{text}" if len(pods) > 1 else text)
    return "\n".join(found)


def _log(client: Client, pod: LiveObject, lines: int) -> str:
    place = (pod.key.namespace, pod.key.name)
    try:
        return client.logs(*place, SERVER, lines=lines)
    except ApiError:
        try:
            return client.logs(*place, SERVER, lines=lines, previous=True)
        except ApiError as error:
            return f"(no log yet: {error.message})\n"
