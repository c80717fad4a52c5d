"""How long a client waits, as it says itself."""

import asyncio

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


# -- readiness


@pytest.mark.parametrize(
    ("query", "seconds"),
    [(b"", 0), (b"verbose", 0), (b"wait=0.95", 0.95), (b"a=b&wait=99.9&c", 99.9)],
)  # fmt: skip
def test_a_probe_may_offer_to_wait(query, seconds):
    assert deadline.wait(query) == seconds


@pytest.mark.parametrize("said", [b"", b"-1", b"100", b"1e1", b".5", b"1s", b"inf", b"\xd9\xa1"])
def test_an_offer_that_is_none_is_refused(said):
    with pytest.raises(Refused, match="expected seconds below 100") as refused:
        deadline.wait(b"wait=" + said)
    assert refused.value.status == 400


def test_the_end_of_a_start_releases_all_that_is_held_and_only_so_many_are():
    async def run():
        start = deadline.Start()
        waiting = [asyncio.ensure_future(start.wait(99)) for _ in range(deadline.MOST_HELD)]
        await asyncio.sleep(0)
        await start.wait(99)  # one too many: it returns at once
        assert not any(each.done() for each in waiting)
        waiting.pop().cancel()  # a client that leaves makes room
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(start.wait(99)))
        await asyncio.sleep(0)
        assert not waiting[-1].done()
        start.end()
        await asyncio.gather(*waiting)
        await start.wait(99)

    asyncio.run(asyncio.wait_for(run(), 60))
