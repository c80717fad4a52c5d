"""Run `python -m serving.artifact PREDICTOR_JSON`."""

import sys

from serving.artifact.fetch import main

sys.exit(main(sys.argv[1:]))
