"""Explain why pods do not answer: a sentence for researchers and operators, with a next step."""

from deployer.targets.kubernetes.diagnosis.pods import leaving, problems, waiting
from deployer.targets.kubernetes.diagnosis.problem import Problem

__all__ = ["Problem", "leaving", "problems", "waiting"]
