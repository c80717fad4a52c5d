"""What the tests stand on: programs, systems, platforms, faults; nothing here is a test."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
CRD = ROOT / "helm/schnitzel/crd/modeldeployment.yaml"
"""The definition of ModelDeployment."""
