"""The frames that we read and write ourselves, beside those of the client library."""

from __future__ import annotations

import datetime as dt

import pamqp.frame
import pytest
from hypothesis import given, strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from serving.queue.amqp import wire

TEXTS = st.text(max_size=60)
NAMES = ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration",
         "message_id", "message_type", "user_id", "app_id")  # fmt: skip
TABLES = st.dictionaries(
    st.text(min_size=1, max_size=20), st.one_of(TEXTS, st.booleans(), st.integers(-(2**40), 2**40))
)


def theirs(properties: Basic.Properties, size: int = 0) -> bytes:
    """Return the library's flags and properties."""
    return ContentHeader(properties=properties, body_size=size).marshal()[12:]


def split(data: bytes, step: int) -> list[tuple[int, int, bytes]]:
    splitter = wire.Splitter()
    pieces = [data[begin : begin + step] for begin in range(0, len(data), step)]
    return [frame for piece in pieces for frame in splitter.feed(piece)]


@given(
    texts=st.fixed_dictionaries(dict.fromkeys(NAMES, TEXTS)),
    headers=TABLES,
    priority=st.integers(0, 9),
    stamp=st.integers(0, 2**31),
)
def test_properties_are_read_and_written_as_the_library_does(texts, headers, priority, stamp):
    given_ = {name: text for name, text in texts.items() if text}
    when = dt.datetime.fromtimestamp(stamp, dt.UTC)
    ours = wire.Properties(
        **texts, headers=wire.entries(headers), delivery_mode=2, priority=priority, timestamp=stamp
    )
    expected = Basic.Properties(
        **given_, headers=headers or None, delivery_mode=2, priority=priority or None,
        timestamp=when if stamp else None,
    )  # fmt: skip
    data = theirs(expected)
    assert wire.decoded(data) == ours
    assert wire.encoded(ours) == data
    assert ours.table == headers


@given(st.binary(max_size=80))
def test_properties_of_anybody_are_read_or_refused(data):
    try:
        assert isinstance(wire.decoded(data).table, dict)
    except wire.MalformedFrame:
        return


@given(st.text(min_size=1, max_size=20), TEXTS)
def test_one_text_is_written_as_a_table_of_one(name, text):
    assert wire.text_entry(name, text) == wire.entries({name: text})


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 8176, 50_000])
@pytest.mark.parametrize("step", [1, 7, 4096, 1_000_000])
def test_a_publish_is_what_the_library_reads(size, step):
    body, properties = b"x" * size, wire.Properties(message_id="m", delivery_mode=2)
    frames = [
        wire.published(3, "exchange", "key"),
        *wire.content(3, wire.encoded(properties), body, 4096),
    ]
    assert max(map(len, frames)) <= 4096
    read = [pamqp.frame.unmarshal(frame) for _, _, frame in split(b"".join(frames), step)]
    assert {channel for _, channel, _ in read} == {3}
    publish, header, *bodies = [frame for _, _, frame in read]
    assert isinstance(publish, Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("exchange", "key", True)
    assert isinstance(header, ContentHeader)
    assert (header.body_size, header.properties.message_id) == (size, "m")
    assert b"".join(each.value for each in bodies if isinstance(each, ContentBody)) == body


@pytest.mark.parametrize("redelivered", [False, True])
@pytest.mark.parametrize("size", [0, 1, 9_000])
def test_a_delivery_of_the_library_is_read(redelivered, size):
    body = b"x" * size
    deliver = Basic.Deliver("consumer", 2**40, redelivered, "exchange", "key")
    header = ContentHeader(properties=Basic.Properties(message_id="m"), body_size=size)
    pieces = [body[begin : begin + 4088] for begin in range(0, size, 4088)]
    data = b"".join(
        pamqp.frame.marshal(each, 1) for each in (deliver, header, *map(ContentBody, pieces))
    )
    (_, _, method), (_, _, head), *rest = split(data, 1000)
    assert wire.method_of(method) == wire.DELIVER
    assert wire.delivered(method) == (2**40, redelivered)
    content = wire.Content()
    assert content.header(head) is (size == 0)
    assert [content.body(frame) for _, _, frame in rest][-1:] in ([], [True])
    assert content.whole() == body
    assert wire.decoded(content.properties).message_id == "m"


@pytest.mark.parametrize("multiple", [False, True])
def test_acknowledgements(multiple):
    ack = wire.acknowledgement(2, 7, multiple=multiple)
    assert ack == pamqp.frame.marshal(Basic.Ack(7, multiple), 2)
    assert wire.confirmed(ack) == (7, multiple)
    assert wire.give_back(2, 7) == pamqp.frame.marshal(Basic.Nack(7, False, True), 2)


def test_a_frame_without_its_end_is_refused():
    with pytest.raises(wire.MalformedFrame):
        split(wire.acknowledgement(1, 1, multiple=False)[:-1] + b"x" * 9, 100)


def test_a_text_longer_than_amqp_has_is_refused():
    with pytest.raises(ValueError, match="at most 255"):
        wire.encoded(wire.Properties(message_id="x" * 256))
