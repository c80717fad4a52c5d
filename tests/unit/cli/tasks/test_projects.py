"""`project` and the parameters of `train`."""

from pathlib import Path

import pytest

from cli import errors
from cli.clients.airflow import parameters


def test_a_folder_that_is_not_there_is_a_usage_error(schnitzel, tmp_path: Path) -> None:
    shown = schnitzel("project", "add", tmp_path / "absent")
    assert shown.code == errors.USAGE
    assert "is no folder" in shown.err


def test_parameters_are_json_where_they_can_be() -> None:
    pairs = ["epochs=5", "rate=0.1", "deep=true", "name=a=b", "list=[1]", "word=hello"]
    assert parameters(pairs) == {
        "epochs": 5,
        "rate": 0.1,
        "deep": True,
        "name": "a=b",
        "list": [1],
        "word": "hello",
    }


@pytest.mark.parametrize("pair", ["epochs", "=5", ""])
def test_a_parameter_without_key_or_value_is_a_usage_error(schnitzel, pair: str) -> None:
    shown = schnitzel("train", "demo", "-p", pair)
    assert shown.code == errors.USAGE
    assert "key=value" in shown.err
