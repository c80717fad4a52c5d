# ruff: noqa: INP001 - Airflow reads it by its path
"""In: the projects below /projects. Out: one Airflow DAG each."""

from pathlib import Path

from dags.projects import register_folder

register_folder(globals(), Path("/projects"))
