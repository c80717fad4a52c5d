"""Fixtures of unit/cli."""

from support.fixtures.cli import api, deployer, deployment, home, plan, rollout, schnitzel, steps
