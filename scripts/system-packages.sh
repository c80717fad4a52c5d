#!/usr/bin/env bash
# Install the Debian packages that tests need and that are not here: a browser and its driver.
set -euo pipefail
wanted=()
command -v chromium >/dev/null || wanted+=(chromium)
command -v chromedriver >/dev/null || wanted+=(chromium-driver)
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "warning: ${wanted[*]} not found; browser tests will say that they did not run" >&2
  echo >&2
  echo "hint: as root on Debian: apt-get install ${wanted[*]}" >&2
  exit 0
fi
echo "==> installing Debian packages: ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
