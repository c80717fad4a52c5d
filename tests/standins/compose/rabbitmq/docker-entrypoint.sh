#!/bin/bash
# As the image's own does when it does not run as root: the command, and nothing else.
set -eu
exec "$@"
