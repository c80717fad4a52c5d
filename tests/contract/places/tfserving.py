"""A namespace of a cluster as a place of the contract's tests, with TensorFlow Serving."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support import ROOT
from support.systems import tfserving as tfserving_standin
from support.systems.tfserving_image import standin_image

from contract.places.kubernetes import ClusterPlace, Reached

SAVE = ROOT / "tests/support/systems/tfserving_models.py"
NOWHERE = ["mlflow-skinny==3.17.2", "no-such-package-of-schnitzel==1.2.3"]
"""What cannot be installed: a model that asks for it is served by TensorFlow Serving or not."""


def with_saved_models(models: Iterable[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The same models, for `models.log_models`, each with a SavedModel beside it."""
    listed = [dict(model) for model in models]
    every = {(model["kind"], model.get("say", 1)) for model in listed}
    wanted = [{"kind": kind, "say": say} for kind, say in sorted(every)]
    tfserving_standin.run(SAVE, folder, json.dumps(wanted))
    for model in listed:
        model["beside"] = str(folder / f"{model['kind']}-{model.get('say', 1)}")
        model["serving"] = {"runtime": "tfserving"} | model.get("serving", {})
    return listed


class TfservingPlatform(Reached):
    """Its cluster has an image of TensorFlow Serving: the stand-in."""

    def _cluster_settings(self) -> dict[str, Any]:
        return super()._cluster_settings() | {"tfserving_image": standin_image(self.cluster)}


class TfservingPlace(ClusterPlace):
    """Models served by pods in which TensorFlow Serving is."""

    reached = TfservingPlatform

    def models(self, models: Iterable[Mapping[str, Any]]) -> None:
        made = with_saved_models(models, self.platform.home / "saved-models")
        super().models(model | {"requirements": NOWHERE} for model in made)
