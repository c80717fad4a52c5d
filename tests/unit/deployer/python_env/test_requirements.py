import sys
from pathlib import Path

import pytest

from deployer.errors import EnvironmentUnbuildable, UnsupportedDependencies
from deployer.python_env.cache import EnvironmentRequest

PYTHON = ".".join(str(part) for part in sys.version_info[:3])

Files = dict[str, str]


def model(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_mlflow_writes_is_read(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "mlflow==3.17.2\n# a comment\nscikit-learn==1.7.2  # why\n\nnumpy<3\n",
        "python_env.yaml": "python: 3.11.7\nbuild_dependencies:\n- pip\n"
        "dependencies:\n- -r requirements.txt\n",
        "conda.yaml": "channels: [conda-forge]\n"
        "dependencies:\n- python=3.11.7\n- pip<=24\n- pip:\n  - mlflow==3.17.2\n",
    }
    request = EnvironmentRequest.read(model(tmp_path, files))
    assert request.python == "3.11.7"
    assert request.python_minor == "3.11"
    assert request.requirements == ("mlflow==3.17.2", "numpy<3", "scikit-learn==1.7.2")


def test_an_older_models_conda_file_is_enough(tmp_path: Path) -> None:
    conda = "dependencies:\n- conda-forge::python=3.10.4\n- pip\n- pip:\n  - six==1.16.0\n"
    request = EnvironmentRequest.read(model(tmp_path, {"conda.yaml": conda}))
    assert (request.python, request.requirements) == ("3.10.4", ("six==1.16.0",))


def test_the_python_may_stand_in_mlmodel_alone(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "six",
        "MLmodel": "flavors: {python_function: {python_version: 3.11.2}}",
    }
    assert EnvironmentRequest.read(model(tmp_path, files)).python == "3.11.2"


def test_order_comments_and_hashes_make_no_other_environment(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    python = {"python_env.yaml": "python: 3.11.7"}
    hashed = "b==2 \\\n    --hash=sha256:00ff\na==1\n"
    first = EnvironmentRequest.read(model(one, {"requirements.txt": "a==1\nb==2 # x", **python}))
    second = EnvironmentRequest.read(model(other, {"requirements.txt": hashed, **python}))
    assert first.key == second.key
    assert EnvironmentRequest("3.11.1", ("a==1", "b==2")).key == first.key
    assert EnvironmentRequest("3.10.1", ("a==1", "b==2")).key != first.key
    assert EnvironmentRequest("3.11.1", ("a==1",), ("b==2",)).key != first.key


def test_constraints_and_indexes_are_kept_apart(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "-c constraints.txt\n--extra-index-url https://idx.example/\nsix\n",
        "constraints.txt": "six<2\n",
        "python_env.yaml": "python: 3.11.7",
    }
    request = EnvironmentRequest.read(model(tmp_path, files), ["https://idx.example"])
    assert request.requirements == ("six",)
    assert request.constraints == ("six<2",)
    assert request.options == ("--extra-index-url https://idx.example/",)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"conda.yaml": "dependencies: [python=3.11, cudatoolkit=11, pip]"}, "cudatoolkit=11"),
        ({"requirements.txt": "git+https://example.org/x.git"}, "git+"),
        ({"requirements.txt": "x @ git+https://example.org/x.git"}, "git+"),
        ({"requirements.txt": "x[y]@git+ssh://git@example.org/x.git"}, "git+"),
        ({"requirements.txt": "-e ."}, "-e ."),
        ({"requirements.txt": "./code/thing"}, "./code/thing"),
        ({"requirements.txt": "/home/ann/thing"}, "/home/ann/thing"),
        ({"requirements.txt": "wheels/thing-1-py3-none-any.whl"}, "wheels/thing"),
        ({"requirements.txt": "thing @ file:///home/ann/thing"}, "file:"),
        ({"requirements.txt": "-r other.txt"}, "-r other.txt"),
        ({"requirements.txt": "-c ../secret.txt"}, "../secret.txt"),
        ({"requirements.txt": "-c gone.txt"}, "gone.txt"),
    ],
)
def test_what_cannot_be_locked_is_refused_by_name(tmp_path: Path, files: Files, names: str) -> None:
    python = {"python_env.yaml": "python: 3.11.7"}
    with pytest.raises(UnsupportedDependencies) as caught:
        EnvironmentRequest.read(model(tmp_path, {**python, **files}))
    assert names in caught.value.message
    assert caught.value.hint
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no requirements.txt"),
        ({"requirements.txt": "six"}, "which Python"),
        ({"requirements.txt": "six", "python_env.yaml": "python: newest"}, "'newest'"),
        ({"requirements.txt": "six", "python_env.yaml": "a: ["}, "python_env.yaml cannot be read"),
    ],
)
def test_a_model_that_does_not_say_what_it_needs_is_told_so(
    tmp_path: Path, files: Files, says: str
) -> None:
    with pytest.raises(EnvironmentUnbuildable, match=says):
        EnvironmentRequest.read(model(tmp_path, files))


def request(*requirements: str, python: str = PYTHON) -> EnvironmentRequest:
    return EnvironmentRequest(python, requirements)
