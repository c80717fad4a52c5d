"""A platform whose cluster serves with every runtime.

TensorFlow Serving and Seldon's operator are stand-ins.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from support.platform.cluster import ClusterPlatform
from support.systems.seldon import have_crd, standing_in
from support.systems.tfserving_image import standin_image


class EveryRuntime(ClusterPlatform):
    """Its Deployer may ask for all of them; the operator's stand-in runs as long as it."""

    def __init__(self, *arguments: Any) -> None:
        self._operator = ExitStack()
        super().__init__(*arguments)

    def up(self, *parts: str) -> None:
        have_crd(self.cluster)
        running = standing_in(self.cluster, self.home / "logs", f"{self.mark}-")
        self._operator.enter_context(running)
        super().up(*parts)

    def down(self) -> None:
        """See the base class; the operator goes last, as it does where people tidy up."""
        try:
            super().down()
        finally:
            self._operator.close()

    def _cluster_settings(self) -> dict[str, Any]:
        more = {"tfserving_image": standin_image(self.cluster), "seldon": {}}
        return super()._cluster_settings() | more
