"""Read the last log lines of a predictor's pods, also from before a restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.diagnosis.problem import delegate, serving


def lines_of(client: Client, pods: Sequence[LiveObject], lines: int) -> str:
    """Read the last lines of each pod's model server; several logs have headings."""
    places = [
        (pod, container)
        for pod in sorted(pods, key=lambda pod: pod.key.name)
        for container in _containers(pod)
    ]
    found = []
    for pod, container in places:
        text = _log(client, pod, container, lines)
        found.append(f"==> {pod.key.name} {container} <==\n{text}" if len(places) > 1 else text)
    return "\n".join(found)


def _containers(pod: LiveObject) -> Iterator[str]:
    """Yield the working container, which starts first, and the serving container."""
    whole = pod.object()
    yield from filter(None, (delegate(whole), serving(whole)))


def _log(client: Client, pod: LiveObject, container: str, lines: int) -> str:
    place = (pod.key.namespace, pod.key.name, container)
    try:
        return client.pods.logs(*place, lines=lines)
    except ApiError:
        try:
            return client.pods.logs(*place, lines=lines, previous=True)
        except ApiError as error:
            return f"(no log yet: {error.message})\n"
