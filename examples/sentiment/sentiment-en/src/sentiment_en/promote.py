"""A verdict and what project.yaml allows in, the version promoted out; or skipped, saying why."""

import os
import warnings

from mlflow import MlflowClient

from sentiment_en import step

STAGES = {"staging": "Staging"}
"""Environments that MLflow has a stage for; every environment has an alias of its name."""


def promote(client: MlflowClient, name: str, version: str, environment: str) -> None:
    """Point the environment's alias at the version, and move it to the stage if there is one.

    Versions that were in the stage are archived; one that an alias still names (production's, say)
    only leaves the stage, because archived would mean that nobody serves it.
    """
    client.set_registered_model_alias(name, environment, version)
    if environment not in STAGES:
        return
    stage = STAGES[environment]
    named = {str(other) for other in client.get_registered_model(name).aliases.values()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated, and in use
        client.transition_model_version_stage(name, version, stage)
        for other in client.search_model_versions(f"name = '{name}'"):
            if other.current_stage == stage and str(other.version) != version:
                left = "None" if str(other.version) in named else "Archived"
                client.transition_model_version_stage(name, other.version, left)


def main() -> None:
    """Promote, or end with the exit code that says skipped."""
    when, to = os.environ.get("SCHNITZEL_PROMOTION_WHEN"), os.environ.get("SCHNITZEL_PROMOTION_TO")
    verdict = step.read("gate", "verdict.json")
    if when is None or to is None or when == "never":
        print("not promoted: project.yaml allows no promotion")
        raise SystemExit(step.SKIP)
    if when == "gate" and verdict["gate"] != "passed":
        print(f"not promoted: {verdict['reason']}")
        raise SystemExit(step.SKIP)
    name = os.environ["SCHNITZEL_MODEL"]
    promote(MlflowClient(), name, verdict["version"], to)
    print(f"promoted {name} version {verdict['version']} to {to}")


if __name__ == "__main__":
    main()
