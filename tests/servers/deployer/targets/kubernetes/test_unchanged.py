"""What was found as wanted is known again, over a restart too, until anything of it changes."""

from __future__ import annotations

import os
import subprocess
import sys

from support import ROOT
from support.kubernetes.noted import noted


def test_another_process_with_another_seed_for_hashes_knows_it_again(kept, tmp_path):
    noted(kept, "angler-prod")
    program = (
        "import sys; from pathlib import Path; from support.kubernetes import noted as t\n"
        "from deployer.store.sqlite import Database\n"
        "kept = t.Records(Database(Path(sys.argv[1])))\n"
        "assert t.Unchanged('tests', kept).holds('angler-prod', 'inputs', t.packed(*t.BOTH))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "deployer.db")]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": f"{ROOT}/tests:{ROOT}"}
    subprocess.run(command, check=True, env=environment)
