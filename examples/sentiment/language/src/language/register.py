"""A logged model in, a version of the registered model out, tagged with where it comes from."""

import os

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from language import step


def register(client: MlflowClient, name: str, model_id: str, tags: dict[str, str]) -> ModelVersion:
    """Register the model once: tried again, it finds the version that it made before."""
    run = tags["schnitzel.run_id"]
    made = client.search_model_versions(f"run_id = '{run}'")
    for version in made:
        if version.name == name and version.source == f"models:/{model_id}":
            return version
    version = mlflow.register_model(f"models:/{model_id}", name)
    for key, value in tags.items():
        if value:  # there is no commit outside of a Git checkout
            client.set_model_version_tag(name, version.version, key, value)
    return version


def main() -> None:
    """Register what train logged."""
    tags = {
        "schnitzel.project": os.environ["SCHNITZEL_PROJECT"],
        "schnitzel.run_id": os.environ["SCHNITZEL_RUN_ID"],
        "schnitzel.dag_run": os.environ["SCHNITZEL_DAG_RUN"],
        "schnitzel.git_commit": os.environ["SCHNITZEL_GIT_COMMIT"],
        "schnitzel.data_hash": step.read("prepare", "data.json")["hash"],
    }
    name = os.environ["SCHNITZEL_MODEL"]
    model_id = step.read("train", "model.json")["model_id"]
    version = register(MlflowClient(), name, model_id, tags)
    step.write("version.json", {"name": name, "version": str(version.version)})
    print(f"registered {name} version {version.version}")


if __name__ == "__main__":
    main()
