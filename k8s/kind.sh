#!/usr/bin/env bash
# Make (up) or remove (down) a kind cluster with a gateway, a registry, a base image and facts.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=${SCHNITZEL_KIND:-$HOME/.local/state/schnitzel-kind}
name=schnitzel registry=schnitzel-registry port=5010
gateway_api=$(awk '$1 == "sigs.k8s.io/gateway-api" || $2 == "sigs.k8s.io/gateway-api" {print $NF}' \
  "$here/testcluster/go/gateway-api/go.mod")
for program in docker kind kubectl; do
  command -v "$program" >/dev/null || {
    echo "error: $program is not on PATH" >&2
    echo >&2
    echo "hint: install Docker, kind (0.27 or later) and kubectl" >&2
    exit 1
  }
done

if [ "${1:-}" = down ]; then
  kind delete cluster --name "$name"
  docker rm -f "$registry" >/dev/null 2>&1 || true
  rm -rf "$state"
  exit 0
fi

mkdir -p "$state"
export KUBECONFIG=$state/kubeconfig
if ! kind get clusters 2>/dev/null | grep -qx "$name"; then
  kind create cluster --config "$here/kind.yaml" --wait 120s
fi
kind export kubeconfig --name "$name" >/dev/null

echo "==> registry at localhost:$port"
docker inspect "$registry" >/dev/null 2>&1 ||
  docker run -d --restart=always -p "127.0.0.1:$port:5000" --network kind \
    -e REGISTRY_STORAGE_DELETE_ENABLED=true --name "$registry" docker.io/library/registry:2 >/dev/null
address=$(docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' "$registry"):5000
for node in $(kind get nodes --name "$name"); do
  for host in "localhost:$port" "$address"; do
    docker exec -i "$node" sh -c "mkdir -p '/etc/containerd/certs.d/$host' &&
      cat > '/etc/containerd/certs.d/$host/hosts.toml'" <<<"[host.\"http://$address\"]"
  done
done

echo "==> base image"
docker build -q -t localhost/base:bookworm - >/dev/null <<'DOCKERFILE'
FROM docker.io/library/debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
  python3 python3-venv ca-certificates && rm -rf /var/lib/apt/lists/*
DOCKERFILE
docker tag localhost/base:bookworm "localhost:$port/base:bookworm"
docker push -q "localhost:$port/base:bookworm" >/dev/null

echo "==> Gateway API $gateway_api and Traefik"
kubectl apply --server-side -f \
  "https://github.com/kubernetes-sigs/gateway-api/releases/download/$gateway_api/standard-install.yaml" >/dev/null
kubectl wait --for=condition=Established --timeout=60s \
  crd/gateways.gateway.networking.k8s.io crd/httproutes.gateway.networking.k8s.io >/dev/null
kubectl apply --server-side -f "$here/kind-gateway.yaml" >/dev/null
kubectl -n schnitzel rollout status deployment/traefik --timeout=180s
kubectl -n schnitzel wait --for=condition=Programmed --timeout=60s gateway/schnitzel-gateway

cat >"$state/facts.json" <<FACTS
{
 "control_plane_only": false,
 "kubeconfig": "$KUBECONFIG",
 "registry_host": "localhost:$port",
 "registry_push": "$address",
 "registry_pull": "localhost:$port",
 "gateway": {"name": "schnitzel-gateway", "namespace": "schnitzel"},
 "gateway_url": "http://127.0.0.1:8088",
 "docker_host": "${DOCKER_HOST:-unix:///var/run/docker.sock}"
}
FACTS
echo "==> ready; export SCHNITZEL_TEST_KUBECONFIG=$KUBECONFIG"
