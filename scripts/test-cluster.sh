#!/usr/bin/env bash
# Run tests that need a Kubernetes node; arguments go to pytest. One is brought up for
# them, and taken down again if it was not there before.
set -euo pipefail
node="python k8s/testcluster"
state="${SCHNITZEL_TESTCLUSTER:-$HOME/.local/state/schnitzel-testcluster}"
ours=
if [ -z "${SCHNITZEL_TEST_KUBECONFIG:-}" ]; then
  [ -e "$state/facts.json" ] || ours=yes
  # Where there can be none the tests that need it say so; under CI that is a failure.
  $node up || [ "${CI:-}" != true ]
fi
status=0
pytest "$@" || status=$?
if [ -n "$ours" ] && [ -e "$state/facts.json" ]; then
  $node down
fi
exit "$status"
