"""A namespace where models are served by Seldon, as a place of the contract's tests.

The stand-in of Seldon's operator is at work there; what it makes counts as what stands for a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from standins.seldon.api import MANAGER
from support.systems.seldon import Operator

from contract.places.base import POLICY
from contract.places.kubernetes import ClusterPlace


class SeldonPlace(ClusterPlace):
    """Models served by SeldonDeployments, each with our server as its container."""

    turns: ClassVar = {
        "remembering": "Client.json_patch ModelDeployment",
        "starting": "Client.create SeldonDeployment",
        "routing": "Client.server_side_apply HTTPRoute",
        "removing": "Client.delete SeldonDeployment",
    }
    kinds: ClassVar = (*ClusterPlace.kinds, "SeldonDeployment")
    runtimes: ClassVar = ("seldon",)
    prod: ClassVar = {
        "policy": POLICY,
        "overlay": {"runtime": "seldon", "rollout": {"drain": "1s"}},
    }

    @property
    def operator(self) -> Operator:
        """The stand-in, which is at work while the place is."""
        return self.platform.operator

    def resources(self, model: str) -> dict[int, dict[str, Any]]:
        """The SeldonDeployments of a model, by version."""
        return {
            int(obj["metadata"]["labels"]["app.kubernetes.io/version"]): obj
            for obj in self.objects(model)
            if obj["kind"] == "SeldonDeployment"
        }

    def state(self, model: str, version: int) -> str:
        """What the operator says of a SeldonDeployment; "" if it says nothing."""
        found = self.resources(model).get(version, {})
        return str(found.get("status", {}).get("state", ""))

    def objects(self, model: str) -> list[dict[str, Any]]:
        """Ours, and the Services that the operator makes, which have no label of ours."""
        ours = super().objects(model)
        names = [obj["metadata"]["name"] for obj in ours if obj["kind"] == "SeldonDeployment"]
        chosen = f"seldon-deployment-id in ({','.join(names)})"
        return ours + (self.labelled(chosen, "Service") if names else [])

    def counts(self, entry: Mapping[str, Any]) -> bool:
        """The operator's writes count, too, but for what it reports."""
        of_the_operator = entry["manager"] == MANAGER and "subresource" not in entry
        return super().counts(entry) or of_the_operator

    def meddlings(self, model: str) -> dict[str, Callable[[], object]]:
        [predictor] = self.servers(model)
        made, gone = f"{predictor}-main-0-model", ("--wait=false",)
        resource = ("seldondeployment", predictor)
        twice = '[{"op": "replace", "path": "/spec/predictors/0/replicas", "value": 2}]'
        return {
            "its route is deleted": lambda: self._kubectl("delete", "httproute", self._id(model)),
            "its Service is deleted": lambda: self._kubectl("delete", "service", predictor),
            "its resource is changed": lambda: self._kubectl(
                "patch", *resource, "--type=json", "-p", twice
            ),
            "the operator's Deployment is scaled": lambda: self._kubectl(
                "scale", "deploy", made, "--replicas=2"
            ),
            "the operator's Service is deleted": lambda: self._kubectl(
                "delete", "service", f"{predictor}-main"
            ),
            "the operator's Deployment is deleted": lambda: self._kubectl(
                "delete", "deploy", made, *gone
            ),
            "its resource is deleted": lambda: self._kubectl("delete", *resource, *gone),
        }
