"""Fixtures of servers/cli."""

from support.fixtures.cli import api, deployer, deployment, home, plan, rollout, schnitzel, steps
