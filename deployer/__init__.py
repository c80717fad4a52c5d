"""Run the MLflow Deployer: compare the registry with the deployments and close the difference.

A promotion passes through *registry -> desired -> rollout -> plan -> targets -> status*: each is a
package. The *controller* runs them in this order; the *api* shows the result.
"""

__version__ = "0.1.0"
