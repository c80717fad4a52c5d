"""Fixtures of nightly/dags."""

from support.fixtures.dags import make_project, pytest_unconfigure
from support.fixtures.pipelines import airflow, mlflow, register_here
