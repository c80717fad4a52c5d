#!/usr/bin/env bash
# Install the Debian packages that tests need and that are not here: a browser and its driver, and
# what a Kubernetes node is made of (k8s/testcluster/). With `cluster` as argument: only the latter.
set -euo pipefail
wanted=()
need() { # a program, and the package that has it
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || wanted+=("$2")
}
if [ "${1:-}" != cluster ]; then
  need chromium chromium
  need chromedriver chromium-driver
fi
need containerd containerd
need runc runc
[ -x /usr/lib/cni/bridge ] || wanted+=(containernetworking-plugins)
need dockerd docker.io
need debootstrap debootstrap
need iptables iptables
need ip iproute2
need conntrack conntrack
need docker-registry docker-registry
need prometheus prometheus
need rabbitmq-server rabbitmq-server
need openssl openssl
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || wanted+=(postgresql)
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "warning: ${wanted[*]} not found; the tests that need them will say that they did not run" >&2
  echo >&2
  echo "hint: as root on Debian: apt-get install ${wanted[*]}" >&2
  exit 0
fi
echo "==> installing Debian packages: ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
# The servers among them are started by us, with our own settings, and never by the system.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
