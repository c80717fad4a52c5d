# ruff: noqa: INP001 - Airflow reads it by its path
"""Make an Airflow DAG of each project below /projects."""

from pathlib import Path

from dags.projects import register_folder

register_folder(globals(), Path("/projects"))
