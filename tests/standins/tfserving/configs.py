"""Read files in protobuf's text format.

ModelServerConfig is the package's own (tensorflow-serving-api). The other two are not in it, and
are described here from monitoring_config.proto and session_bundle_config.proto: names and types of
the fields, which is all that the text format goes by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from status import invalid
from tensorflow_serving.config import model_server_config_pb2

FIELD = descriptor_pb2.FieldDescriptorProto
WRAPPED = {"Int64Value", "StringValue", "BoolValue"}
DESCRIBED = {
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
}


def _described() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    package = "standin"
    file = descriptor_pb2.FileDescriptorProto(
        name="standin.proto", package=package, syntax="proto3", dependency=[wrappers.name]
    )
    for name, fields in DESCRIBED.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            repeated, word = kind.startswith("repeated "), kind.split()[-1]
            added = message.field.add(name=field, number=number)
            added.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            if word in ("bool", "string", "int64"):
                added.type = getattr(FIELD, f"TYPE_{word.upper()}")
            else:
                added.type = FIELD.TYPE_MESSAGE
                where = "google.protobuf" if word in WRAPPED else package
                added.type_name = f".{where}.{word}"
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in DESCRIBED
    }


def _read(path: str, message: Any) -> Any:
    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (OSError, text_format.ParseError) as error:
        raise invalid(f"Invalid protobuf file: '{path}' ({error})") from error


def models(flags: dict[str, Any]) -> list[Any]:
    """Return each ModelConfig of --model_config_file, or the one that the flags describe."""
    config = model_server_config_pb2.ModelServerConfig()
    if flags["model_config_file"]:
        _read(flags["model_config_file"], config)
    elif flags["model_base_path"]:
        name, base_path = flags["model_name"], flags["model_base_path"]
        config.model_config_list.config.add(
            name=name, base_path=base_path, model_platform="tensorflow"
        )
    else:
        raise invalid("Both model_base_path and model_config_file are empty!")
    found = list(config.model_config_list.config)
    for each in found:
        if each.model_platform != "tensorflow":
            raise invalid(f"Illegal setting neither ModelServerConfig model_type: {each.name}")
        if not each.base_path.startswith("/"):
            raise invalid(
                f"Expected model {each.name} to have an absolute path or URI; got "
                f"base_path()={each.base_path}"
            )
        if each.version_labels and not flags["allow_version_labels_for_unavailable_models"]:
            label, version = next(iter(each.version_labels.items()))
            raise invalid(
                f"Request to assign label {label} to version {version} of model {each.name}, "
                "which is not currently available for inference"
            )
    return found


def monitoring(path: str) -> str:
    """Return the path of the metrics; empty: none."""
    if not path:
        return ""
    config = _read(path, _described()["MonitoringConfig"]()).prometheus_config
    return (config.path or "/monitoring/prometheus/metrics") if config.enable else ""


def batching(flags: dict[str, Any]) -> int | None:
    """Return the most rows that a request may have; None: as many as it likes."""
    path = flags["batching_parameters_file"]
    if not flags["enable_batching"]:
        if path:
            raise invalid(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return None
    given = _described()["BatchingParameters"]()
    if path:
        _read(path, given)
    most = given.max_batch_size.value if given.HasField("max_batch_size") else 1000
    splitting = given.enable_large_batch_splitting.value
    if splitting and not 0 < given.max_execution_batch_size.value <= most:
        raise invalid("max_execution_batch_size must be greater than 0, max_batch_size at most")
    sizes = list(given.allowed_batch_sizes)
    last = given.max_execution_batch_size.value if splitting else most
    if sizes and (sizes != sorted(set(sizes)) or sizes[-1] != last):
        raise invalid(
            f"allowed_batch_sizes entries must be monotonically increasing, and end with {last}"
        )
    return int(most)
