"""Kubernetes' own words about pods go in; sentences for people, each with a next step, come out."""

from deployer.targets.kubernetes.diagnosis.pods import leaving, troubles, waiting
from deployer.targets.kubernetes.diagnosis.problem import Problem

__all__ = ["Problem", "leaving", "troubles", "waiting"]
