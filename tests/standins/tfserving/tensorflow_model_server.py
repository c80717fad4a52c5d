"""Stand in for TensorFlow Serving's program, with its flags, files and APIs.

For tests only. It takes the real one's arguments and files, loads SavedModels with TensorFlow
itself, and answers REST and gRPC with the real one's shapes and error texts (read in its sources at
github.com/tensorflow/serving). It does not batch: it refuses what the real one's batching refuses.
Like the real one it opens its ports when every model is loaded and warmed, and has no handler for
SIGTERM.
"""

from __future__ import annotations

import sys
from typing import Any

import flags as flag_list


def main(arguments: list[str]) -> int:
    """Serve until killed; return the exit code if it cannot."""
    flags: dict[str, Any] = flag_list.parse(arguments)
    # TensorFlow takes seconds to import: a wrong flag is told before.
    import configs
    import grpc_api
    from models import Models
    from rest import Rest
    from servable import say
    from status import Status

    try:
        models = Models(configs.models(flags), flags, configs.batching(flags))
        metrics_path = configs.monitoring(flags["monitoring_config_file"])
        served = grpc_api.serve(flags["port"], models)
        say(f"Running gRPC ModelServer at 0.0.0.0:{flags['port']} ...")
        if flags["rest_api_port"]:
            rest = Rest(flags["rest_api_port"], models, metrics_path)
            say(f"Exporting HTTP/REST API at:localhost:{flags['rest_api_port']} ...")
            rest.serve_forever()
    except (Status, OSError) as error:
        sys.stdout.write(f"Failed to start server. Error: {error}\n")
        return 255
    served.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
