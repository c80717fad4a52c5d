"""Provide the `schnitzel` command, a client of the platform's HTTP APIs.

Speaks HTTP to MLflow, Airflow and the Deployer, and imports none of them.
"""

__version__ = "0.1.0"
