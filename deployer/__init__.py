"""The MLflow Deployer: compares the registry with what is deployed and closes the difference."""

__version__ = "0.1.0"
