"""A version's metrics, the floor and production's model in, a verdict with its reason out.

The verdict is on file for promote, on the version as tags and on the run; a "no" is no failure.
"""

import os

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from language import step
from language.evaluate import measure


def verdict(
    metric: str, value: float, floor: float, production: tuple[str, float] | None, margin: float
) -> tuple[bool, str]:
    """Whether a value is good enough, and why; `production` is its version and its value."""
    if value < floor:
        return False, f"{metric} {value:.4f} is below the floor {floor}"
    if production is None:
        return True, f"{metric} {value:.4f} reaches the floor {floor}, and nothing is in production"
    version, theirs = production
    needed = f"production's version {version} has {theirs:.4f}, on the same held-out messages"
    needed += f"; margin {margin}" if margin else ""
    if value > theirs + margin:
        return True, f"{metric} {value:.4f} reaches the floor {floor} and is better: {needed}"
    return False, f"{metric} {value:.4f} is not better: {needed}"


def production_version(client: MlflowClient, name: str) -> str | None:
    """The version in production: the alias champion, else the highest one in stage Production."""
    try:
        return str(client.get_model_version_by_alias(name, "champion").version)
    except MlflowException:
        versions = client.search_model_versions(f"name = '{name}'")
        staged = [int(v.version) for v in versions if v.current_stage == "Production"]
        return str(max(staged)) if staged else None


def main() -> None:
    """Judge the registered version, and write down what and why."""
    client, name = MlflowClient(), os.environ["SCHNITZEL_MODEL"]
    metric = os.environ["SCHNITZEL_GATE_METRIC"]
    version = step.read("register", "version.json")["version"]
    champion, production = production_version(client, name), None
    if champion is not None:
        test = pd.read_csv(step.input_from("prepare") / "test.csv", keep_default_na=False)
        production = (champion, measure(f"models:/{name}/{champion}", test)[0][metric])
    passed, reason = verdict(
        metric,
        step.read("evaluate", "metrics.json")[metric],
        float(os.environ["SCHNITZEL_GATE_FLOOR"]),
        production,
        float(os.environ["SCHNITZEL_GATE_MARGIN"]),
    )
    written = {"gate": "passed" if passed else "refused", "reason": reason, "version": version}
    step.write("verdict.json", written)
    client.set_model_version_tag(name, version, "schnitzel.gate", written["gate"])
    client.set_model_version_tag(name, version, "schnitzel.gate_reason", reason)
    with mlflow.start_run():
        mlflow.log_dict(written, "gate.json")
    print(f"{written['gate']}: {reason}")


if __name__ == "__main__":
    main()
