#!/usr/bin/env bash
# From nothing to a pipeline: start the platform and RabbitMQ, train three models, promote them, send
# sentences through all of them, promote a second version meanwhile, and count what came out.
set -euo pipefail
cd "$(dirname "$0")/.."
export SCHNITZEL_HOME=${SCHNITZEL_HOME:-$HOME/.local/state/schnitzel-demo-sentiment}
examples=examples/sentiment
models=(language sentiment-en sentiment-da)
work=$SCHNITZEL_HOME/demo
say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n==> %s\n' "$*"; }
latest() { # the newest version of a model
  schnitzel model list -o json | python -c '
import json, sys
print(next(m["latest"] for m in json.load(sys.stdin)["models"] if m["name"] == sys.argv[1]))' "$1"
}
router() { # the router, in an environment of its own
  env PYTHONPATH=$examples/router/src "$work/env/bin/python" -m sentiment_router "$@"
}

say "1/7 start the platform with RabbitMQ (state in $SCHNITZEL_HOME)"
mkdir -p "$work"
export ROUTER_BROKER_URL_FILE=$SCHNITZEL_HOME/secrets/rabbitmq-url
# One environment: the pipelines' own promotions to staging are marks in MLflow, and start no server.
[ -e "$SCHNITZEL_HOME/platform.yaml" ] || cat >"$SCHNITZEL_HOME/platform.yaml" <<END
components: [rabbitmq]
brokers:
  default: {url_ref: "file:$ROUTER_BROKER_URL_FILE"}
environments:
  prod: {stage: Production, alias: champion}
END
schnitzel up

say "2/7 make the pipeline's queues: an act of a person, once"
[ -x "$work/env/bin/python" ] || uv venv --quiet --python .venv/bin/python "$work/env"
uv pip install --quiet --python "$work/env/bin/python" --require-hashes -r $examples/router/requirements.txt
router queues --declare

say "3/7 register the projects, which answer a queue here: runtime: queue in serving.yaml"
for model in "${models[@]}"; do
  folder=$work/projects/$model
  mkdir -p "$folder"
  cp -r $examples/"$model"/{project.yaml,pyproject.toml,requirements.txt,README.md,src} "$folder"
  cat $examples/"$model"/serving.yaml $examples/router/serving/"$model".yaml >"$folder/serving.yaml"
  schnitzel project add "$folder"
done

say "4/7 train, and promote to prod"
for model in "${models[@]}"; do
  schnitzel train "$model"
  schnitzel model promote "$model@$(latest "$model")" --to prod --yes --wait
done

say "5/7 train another version of sentiment-en, which is promoted later"
schnitzel train sentiment-en -p alpha=0.00003
second=$(latest sentiment-en)

say "6/7 route, send a third of the sentences, a third during the promotion of version $second, and a third after it"
# Held-out messages and tweets, as the pipelines' step prepare wrote them, and the written sentences.
heldout() { find "$SCHNITZEL_HOME/runs/$1" -path "*/prepare/test.csv" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-; }
sources=(
  "en=$examples/sentiment-en/src/sentiment_en/sentences.csv"
  "da=$examples/sentiment-da/src/sentiment_da/sentences.csv"
  "$(heldout language)"
  "en=$(heldout sentiment-en)"
)
(exec env PYTHONPATH=$examples/router/src "$work/env/bin/python" -m sentiment_router) 2>>"$work/router.log" &
routing=$!
trap 'kill $routing && wait $routing' EXIT
router send "${sources[@]}" --most 150 --part 1/3 --sent "$work/sent-1"
router send "${sources[@]}" --most 150 --part 2/3 --sent "$work/sent-2" --seconds 40 &
sending=$!
schnitzel model promote "sentiment-en@$second" --to prod --yes --wait
wait $sending
router send "${sources[@]}" --most 150 --part 3/3 --sent "$work/sent-3"

say "7/7 count what went in and what came out"
router collect "$work"/sent-{1,2,3}
cat <<END

The platform runs on; the router has ended. Next:
  export SCHNITZEL_HOME=$SCHNITZEL_HOME PATH=$PWD/.venv/bin:\$PATH
  schnitzel status                 what runs, where, and the next step
  less $examples/router/README.md  the router, and its other settings
  make down                        stop everything, keep the data
END
