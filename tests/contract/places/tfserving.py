"""A namespace of a cluster as a place of the contract's tests, with TensorFlow Serving."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support import ROOT
from support.systems import tfserving as tfserving_standin
from support.systems.cluster import Cluster
from support.systems.tfserving_image import standin_image, stub_image

from contract.places.kubernetes import ClusterPlace

SAVE = ROOT / "tests/support/systems/tfserving_models.py"
NOWHERE = ["mlflow-skinny==3.17.2", "no-such-package-of-schnitzel==1.2.3"]
"""What cannot be installed: a model that asks for it is served by TensorFlow Serving or not."""


def with_saved_models(
    models: Iterable[Mapping[str, Any]], folder: Path, *, tensorflow: bool = False
) -> list[dict[str, Any]]:
    """The same models, for `models.log_models`, each with a SavedModel beside it.

    TensorFlow makes it, or it is one that the stub alone can read.
    """
    listed = [dict(model) for model in models]
    every = {(model["kind"], model.get("say", 1)) for model in listed}
    wanted = [{"kind": kind, "say": say} for kind, say in sorted(every)]
    if tensorflow:
        tfserving_standin.run(SAVE, folder, json.dumps(wanted))
    else:
        for one in wanted:
            made = folder / f"{one['kind']}-{one['say']}" / "saved_model" / "saved_model.pb"
            made.parent.mkdir(parents=True)
            made.write_text(json.dumps(one))
    for model in listed:
        model["beside"] = str(folder / f"{model['kind']}-{model.get('say', 1)}")
        model["serving"] = {"runtime": "tfserving"} | model.get("serving", {})
    return listed


class TfservingPlace(ClusterPlace):
    """Models served by pods in which TensorFlow Serving is: its stub, or the stand-in."""

    runtimes = ("tfserving",)

    def __init__(self, cluster: Cluster, home: Path, *, tensorflow: bool = False) -> None:
        self._tensorflow = tensorflow
        super().__init__(cluster, home, tfserving=standin_image if tensorflow else stub_image)

    def models(self, models: Iterable[Mapping[str, Any]]) -> None:
        folder = self.platform.home / "saved-models"
        made = with_saved_models(models, folder, tensorflow=self._tensorflow)
        super().models(model | {"requirements": NOWHERE} for model in made)
