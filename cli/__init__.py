"""The `schnitzel` command: arguments in, calls to the platform's HTTP APIs out.

Speaks HTTP to MLflow, Airflow and the Deployer, and imports none of them.
"""

__version__ = "0.1.0"
