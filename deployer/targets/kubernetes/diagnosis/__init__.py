"""Explain why pods do not answer: a sentence for researchers and operators, with a next step."""

from deployer.targets.kubernetes.diagnosis.pods import is_terminating, problems, waiting
from deployer.targets.kubernetes.diagnosis.problem import Problem

__all__ = ["Problem", "is_terminating", "problems", "waiting"]
