"""How long a client waits, as it says itself."""

import pytest

from serving.front import deadline
from serving.front.listener import Refused, Request
from serving.worker.oip import infer
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import signature


def asked(**headers):
    named = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return deadline.seconds(Request(b"POST", b"/invocations", b"", named, b""))


def test_a_client_may_say_how_long_it_waits():
    assert asked() is None
    assert asked(x_request_timeout_ms=b"250") == 0.25
    assert asked(x_envoy_expected_rq_timeout_ms=b"1500") == 1.5


def test_of_two_limits_the_shorter_holds():
    both = {"x_request_timeout_ms": b"250", "x_envoy_expected_rq_timeout_ms": b"100"}
    assert asked(**both) == 0.1


@pytest.mark.parametrize("value", [b"0", b"-1", b"1.5", b"1s", b"soon", b"9" * 30, b"\xff"])
def test_a_limit_that_is_none_is_refused(value):
    with pytest.raises(Refused, match="expected milliseconds") as refused:
        asked(x_request_timeout_ms=value)
    assert refused.value.status == 400


def question(timeout, **known):
    one = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}
    request = {"inputs": [one], "parameters": {"timeout": timeout}}
    return infer.question(request, signature(known), "id")


def test_the_open_inference_protocols_timeout_is_in_microseconds():
    assert question(250_000).seconds == 0.25
    assert question(0).seconds is None
    for wrong in (-1, 1.5, "1s", True):
        with pytest.raises(BadInput, match="'timeout' of 'parameters'"):
            question(wrong)


def test_a_parameter_of_the_model_that_is_called_so_is_the_models():
    asked_ = question("slow", params=[{"name": "timeout", "type": "string", "default": ""}])
    assert asked_.seconds is None
    assert asked_.head["params"] == {"timeout": "slow"}
