"""Read flags as tensorflow::Flags reads them.

The flags are those of model_servers/main.cc. What is not one of them is refused: the real one
prints "unknown argument" and starts without it, so that a misspelt flag would pass unseen here.
"""

from __future__ import annotations

import sys

FLAGS = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_num_threads": 0,
    "rest_api_timeout_in_ms": 30000,
    "rest_api_enable_cors_support": False,
    "enable_batching": False,
    "allow_version_labels_for_unavailable_models": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "model_name": "default",
    "model_base_path": "",
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60_000_000,
    "file_system_poll_wait_seconds": 1,
    "flush_filesystem_caches": True,
    "tensorflow_session_parallelism": 0,
    "tensorflow_session_config_file": "",
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "use_alts_credentials": False,
    "ssl_config_file": "",
    "platform_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "saved_model_tags": "serve",
    "grpc_channel_arguments": "",
    "grpc_max_threads": 0,
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "version": False,
    "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True,
    "prefer_tflite_model": False,
    "num_tflite_pools": 0,
    "num_tflite_interpreters_per_pool": 0,
    "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "enable_profiler": True,
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
}
TRUTH = {"true": True, "1": True, "false": False, "0": False}


def parse(arguments: list[str]) -> dict[str, object]:
    """Return every flag's value; ends the program at one that it cannot read or does not know."""
    values: dict[str, object] = dict(FLAGS)
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        default = FLAGS.get(name)
        if not argument.startswith("--") or default is None:
            refuse(f"unknown argument: {argument}")
        try:
            if isinstance(default, bool):
                values[name] = TRUTH[text.lower()] if equals else True
            elif not equals:
                refuse(f"unknown argument: {argument}")
            else:
                values[name] = type(default)(text)
        except (KeyError, ValueError):
            refuse(f"Couldn't interpret value {text} for flag {name}.")
    return values


def refuse(why: str) -> None:
    usage = "\n".join(f"\t--{name}={default}" for name, default in FLAGS.items())
    sys.stdout.write(f"{why}\nusage: tensorflow_model_server\nFlags:\n{usage}\n")
    sys.exit(255)
