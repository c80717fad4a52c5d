"""Models of MLflow's flavours, each in an environment of its own: the answers are the model's.

The reference is `mlflow.pyfunc.load_model(...).predict(...)` in the same environment. PyTorch is
left out: the package that the registry has needs CUDA's libraries, three gigabytes of them; it is
served by the same `predict` of a pyfunc model as the others.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from support.fixtures.serving import serving

HERE = Path(__file__).parent
UV = str(Path(sys.executable).with_name("uv"))
MLFLOW = "mlflow==3.17.2"
PACKAGES = {
    "xgboost": ["xgboost-cpu", "scikit-learn"],
    "lightgbm": ["lightgbm", "scikit-learn"],
    "catboost": ["catboost"],
    "keras": ["tensorflow-cpu"],
    "onnx": ["onnx", "onnxruntime"],
    "statsmodels": ["statsmodels"],
    "prophet": ["prophet"],
    "spacy": ["spacy"],
}

pytestmark = pytest.mark.timeout(900)


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]


def same(one, other):
    """Whether two answers say the same; missing numbers are null to us, NaN to MLflow."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one is None:
        return other is None or math.isnan(other)
    return one == other


@pytest.mark.parametrize("flavour", PACKAGES)
def test_a_flavours_answers_are_the_models(tmp_path, flavour):
    environment = tmp_path / "environment"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin/python"
    run(UV, "pip", "install", "--quiet", "--python", python, MLFLOW, *PACKAGES[flavour])
    run(python, HERE / "save_flavour.py", flavour, tmp_path)
    expected = json.loads((tmp_path / "answered.json").read_text())
    asked = json.loads((tmp_path / "asked.json").read_text())
    home = tmp_path / "server"
    home.mkdir()
    with serving(home, tmp_path / "model", python=str(python)) as server:
        answer = server.ready().invoke(asked)
    assert answer.status_code == 200, answer.text
    assert same(answer.json(), expected), (answer.json(), expected)
    assert answer.json()["predictions"]
