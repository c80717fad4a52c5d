"""Kubernetes' own words about pods go in; sentences for people, each with a next step, come out."""

from deployer.targets.kubernetes.words.pods import leaving, troubles, waiting
from deployer.targets.kubernetes.words.trouble import Trouble

__all__ = ["Trouble", "leaving", "troubles", "waiting"]
