# ruff: noqa: T201
"""Run in Seldon's environment: asks its gRPC server, and prints the answers as JSON."""

import json
import sys

import grpc
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc


def main(port: str, request: str) -> None:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    grpc.channel_ready_future(channel).result(timeout=60)
    stub = prediction_pb2_grpc.SeldonStub(channel)
    asked = json.loads(request)
    message = json_format.ParseDict(asked, prediction_pb2.SeldonMessage())
    answer = stub.Predict(message, timeout=60)
    feedback = prediction_pb2.Feedback(request=message, response=answer, reward=0.5)
    counted = stub.SendFeedback(feedback, timeout=60)
    print(json.dumps([json_format.MessageToDict(each) for each in (answer, counted)]))


main(*sys.argv[1:])
