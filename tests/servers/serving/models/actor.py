"""A model that does what it is told: the column `act` says what, the column `number` with what."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import ctypes
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

import mlflow
import pandas as pd

HELD = []
WAIT = "wait for "
"""Before the path of a file: until it is there."""


class Actor(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        factor = (params or {}).get("factor", 1.0)
        self._wait(model_input["act"][0])
        said = [self._act(act, number) for act, number in model_input.itertuples(index=False)]
        numbers = [number * factor for number in model_input["number"]]
        return pd.DataFrame({"said": said, "number": numbers, "whole": [7] * len(said)})

    def _wait(self, act):
        if str(act).startswith(WAIT):
            print("the model waits", flush=True)  # noqa: T201
            while not Path(act.removeprefix(WAIT)).exists():
                time.sleep(0.01)

    def _end(self, act):
        if act == "exit":
            sys.exit(3)
        if act == "interrupt":
            threading.Thread(target=time.sleep, args=(3600,)).start()
            raise KeyboardInterrupt
        if act == "die":
            os._exit(9)
        if act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "crash":
            ctypes.string_at(0)

    def _act(self, act, number):
        if str(act).startswith("raise"):
            more = act.removeprefix("raise")
            raise ValueError(f"cannot do {number} with password=hunter2{more}")
        self._end(act)
        if act == "sleep":
            print("the model sleeps", flush=True)  # noqa: T201
            time.sleep(number)
        if act == "hold":
            HELD.append(bytearray(int(number)))
        if act == "print":
            print("the model says hello")  # noqa: T201
        if act == "import":
            found = [
                name for name in ("serving", "framing", "worker") if importlib.util.find_spec(name)
            ]
            return ",".join(found) or "none"
        return act


mlflow.models.set_model(Actor())
