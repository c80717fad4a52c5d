"""Fixtures of servers/dags."""

from support.fixtures.dags import home, make_project, pytest_unconfigure, register_project
from support.fixtures.pipelines import airflow, mlflow, register_here
