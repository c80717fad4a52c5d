"""Save small models with the signatures of examples/sentiment/ into a folder.

Run in a process of its own: importing MLflow is slow.
"""

# ruff: noqa: TID253

import sys
from pathlib import Path

import mlflow.pyfunc
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

ANSWERS = {"language": ("language", "probability"), "sentiment": ("sentiment", "score")}


def main(folder: Path) -> None:
    for name, (text, number) in ANSWERS.items():
        mlflow.pyfunc.save_model(
            folder / name,
            python_model=str(Path(__file__).parent / "models" / f"{name}.py"),
            signature=ModelSignature(
                inputs=Schema([ColSpec(DataType.string, "text")]),
                outputs=Schema([ColSpec(DataType.string, text), ColSpec(DataType.double, number)]),
            ),
            pip_requirements=["mlflow==3.17.2"],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
