from hypothesis import given, strategies as st

from serving.worker import framing

frames = st.lists(
    st.builds(
        framing.Frame,
        st.integers(0, 2**64 - 1),
        st.integers(0, 255),
        st.binary(max_size=200),
    ),
    max_size=8,
)


@given(frames, st.data())
def test_frames_survive_being_cut_into_any_pieces(sent, data):
    stream = b"".join(framing.pack(*frame) for frame in sent)
    cutter, received, place = framing.FrameDecoder(), [], 0
    while place < len(stream):
        size = data.draw(st.integers(1, len(stream) - place))
        received += cutter.feed(stream[place : place + size])
        place += size
    assert received == sent


def test_a_frame_is_not_handed_over_before_it_is_whole():
    stream = framing.pack(7, framing.ANSWER, b"abc")
    cutter = framing.FrameDecoder()
    assert cutter.feed(stream[:-1]) == []
    assert cutter.feed(stream[-1:]) == [framing.Frame(7, framing.ANSWER, b"abc")]


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_an_invocation_keeps_its_content_type_and_its_body(content_type, body):
    payload = b"".join(framing.pack_invoke(content_type, body))
    assert framing.unpack_invoke(payload) == (content_type.decode("latin-1"), body)


@given(st.integers(100, 599), st.sampled_from(["application/json", "text/plain"]), st.binary())
def test_an_answer_keeps_status_content_type_and_body(status, content_type, body):
    payload = framing.pack_answer(status, content_type, body)
    assert framing.unpack_answer(payload) == (status, content_type.encode(), body)


def test_a_batch_keeps_its_numbers():
    assert framing.unpack_batch(framing.pack_batch(3, 12, 0.25)) == (3, 12, 0.25)
