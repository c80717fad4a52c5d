"""Write down what this code keeps, as later code will meet it after an upgrade.

    PYTHONPATH=tests python -m support.recorded NAME

makes the folder tests/unit/deployer/recorded/NAME; what is recorded once is never changed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.record import (
    Absence,
    Candidate,
    Description,
    Draining,
    Failure,
    FormerChampion,
    Pause,
    Promotion,
    Record,
    RoleHolder,
)
from deployer.state.registry import VersionId
from deployer.store.history import Event, History
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.records import crd
from support.world import served

FOLDER = Path(__file__).parents[1] / "unit" / "deployer" / "recorded"
DATABASE, OBJECTS = "deployer.db", "modeldeployments.json"

NAME = "forêt d'iris"
OLD, NEW = (VersionId(NAME, number, 1_700_000_000_000 + number, f"m-{number}") for number in (1, 2))
SPEC = ServingSpec.model_validate({"replicas": 2, "resources": {"memory": "1Gi"}})
LOST = Promotion(
    OLD, "stage Production", 1, 1_700_000_100.25, 1_700_000_200.5, "ada",
    updated=1_700_000_100_250, touched=1_700_000_400_500,
)  # fmt: skip
MEMORY = {
    "marker": "p1:17",
    "frozen": "",
    "serves/home/angler-prod": "models-prod",
    "upgrade_halted": json.dumps({"by": "ada", "at": 1_700_000_000.0}),
}
EVENTS = (
    Event("angler-prod", "intent", "rollout", None, "1", "alias champion names 1", "unknown"),
    Event("angler-prod", "outcome", "failed", "1", "2", "It broke.", "deployer", "LoadError"),
    Event("", "operator", "halt upgrade", None, None, "a person asked", "ada"),
)


def everything() -> Record:
    """A record in which no field has its default."""
    predictor = Predictor(
        "foret-prod-v2-1a2b3c4d", NEW, Role.CHAMPION, "d2", "s3://bucket/2",
        SPEC,
        {"replicas": "serving.yaml"}, "sha256:aa", "0.1.0+1c2d3e4f model-server:1",
    )  # fmt: skip
    before = replace(predictor, name="foret-prod-v1-5e6f7a8b", version=OLD, digest="d1")
    return Record(
        id="foret-prod",
        model=NAME,
        environment="prod",
        project="forest",
        promotions=(LOST, Promotion(NEW, "stage Production", 2, 1_700_000_300.0)),
        next_sequence=3,
        note="The highest version serves: nobody knows the order.",
        predictors={
            Role.CHAMPION: (RoleHolder(before, 1_700_000_150.0),),
            Role.SHADOW: (RoleHolder(replace(before, role=Role.SHADOW), 1_700_000_155.0),),
        },
        candidate=Candidate(
            predictor,
            1_700_000_310.0,
            1,
            1_700_000_320.125,
            1,
            hurried=True,
            twin=replace(before, role=Role.TWIN, digest="d1"),
        ),
        draining=(Draining(replace(before, digest="d0"), 1_700_000_160.0, 1_700_000_460.0),),
        former=(FormerChampion(OLD, "d0", 1_700_000_160.0),),
        failures={"d0": Failure("LoadError", "It broke.", "Mend it.", 1_700_000_050.0, 3, 1.7e9)},
        absence=Absence(1_700_000_200.0, 2, 1_700_000_230.0, (LOST,)),
        retired_at=1_699_999_999.5,
        server="0.1.0+1c2d3e4f model-server:1",
        pause=Pause("ada", 1_700_000_400.0, "a measurement"),
        allow_retire=True,
        adopt=("0b8f5a1e-uid",),
        descriptions={
            NEW.key: Description("s3://bucket/2", {"replicas": 2}, "A typo.", "Mend it.")
        },
        artifacts={OLD.key: "sha256:aa"},
    )


def records() -> list[Record]:
    """One with everything, one as a deployment that serves has it, one that just began."""
    return [everything(), served(), Record("young-staging", "young", "staging")]


def objects() -> list[dict[str, Any]]:
    """The same as they are kept in a cluster."""
    return [crd.manifest(record, "p1", f"models-{record.environment}") for record in records()]


def write(folder: Path) -> None:
    """Keep all of it in a folder, as a Deployer does."""
    folder.mkdir(parents=True)
    database = Database(folder / DATABASE)
    kept, history = Records(database), History(database)
    for record in records():
        kept.save(record)
    kept.set_all(MEMORY)
    for number, event in enumerate(EVENTS):
        history.append(event, 1_700_000_000.125 + number)
    database.close()
    text = json.dumps(objects(), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / OBJECTS).write_text(text + "\n")


if __name__ == "__main__":
    write(FOLDER / sys.argv[1])
