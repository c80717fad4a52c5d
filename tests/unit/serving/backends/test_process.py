"""What a model's process gets of our environment."""

import sys

import pytest

from serving.backends import process
from serving.predictor import Predictor


def predictor(**more):
    return Predictor("p", "m", "1", "e", "a", sys.executable, "127.0.0.1", 1, "s", **more)


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE",
        "AZURE_STORAGE_CONNECTION_STRING", "GOOGLE_APPLICATION_CREDENTIALS", "PGPASSWORD",
        "POSTGRES_PASSWORD", "KUBECONFIG", "SCHNITZEL_TOKEN", "AIRFLOW__CORE__FERNET_KEY",
        "GITHUB_TOKEN", "GH_TOKEN", "SUPERVISOR_SERVER_URL",
    ],
)  # fmt: skip
def test_a_model_gets_no_secret_of_the_platform(monkeypatch, name):
    monkeypatch.setenv(name, "secret")
    assert name not in process._environment(predictor())
    assert process._environment(predictor(env=(name,)))[name] == "secret"


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "OPENAI_API_KEY", "MLFLOW_CONFIG", "OMP_NUM_THREADS"]
)
def test_a_model_gets_what_is_not_the_platforms(monkeypatch, name):
    monkeypatch.setenv(name, "given")
    assert process._environment(predictor())[name] == "given"
