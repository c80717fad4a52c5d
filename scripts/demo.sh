#!/usr/bin/env bash
# From nothing to a prediction: start the platform, train Angler, promote it, ask it.
set -euo pipefail
cd "$(dirname "$0")/.."
export SCHNITZEL_HOME=${SCHNITZEL_HOME:-$HOME/.local/state/schnitzel-demo}
say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n==> %s\n' "$*"; }

say "1/5 start the platform (state in $SCHNITZEL_HOME)"
schnitzel up
say "2/5 register the project examples/angler"
schnitzel project add examples/angler
say "3/5 train: Airflow runs the pipeline, MLflow gets the model"
schnitzel train angler
version=$(schnitzel model list -o json | python -c '
import json, sys
print(next(m["latest"] for m in json.load(sys.stdin)["models"] if m["name"] == "angler"))')
say "4/5 promote version $version to prod, and wait until it serves"
schnitzel model promote "angler@$version" --to prod --yes --wait
say "5/5 ask it"
schnitzel predict angler -e prod --example
cat <<END

It runs on. Next:
  export SCHNITZEL_HOME=$SCHNITZEL_HOME PATH=$PWD/.venv/bin:\$PATH
  schnitzel status                 what runs, where, and the next step
  schnitzel open mlflow            move another version to Production with the mouse
  make down                        stop everything, keep the data
END
