"""The MLflow Deployer: compare the registry with what is deployed, and close the difference.

A promotion goes *registry -> desired -> rollout -> plan -> targets -> status*: each is a room. What
holds them together is the *controller*; *api* shows it.
"""

__version__ = "0.1.0"
