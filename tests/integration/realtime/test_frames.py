import os

import pytest
from aiohttp.http_websocket import WebSocketError
from hypothesis import given
from hypothesis import strategies as st

from realtime.frames import Frames, unmasked

TEXT, CONTINUATION, BINARY, PING = 1, 0, 2, 9
MAX_BYTES = 1000


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """As a client sends it."""
    mask, length = os.urandom(4), len(payload)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2)
    return bytes(((0x80 if fin else 0) | opcode,)) + size + mask + unmasked(mask, payload)


def taken(frames: Frames) -> list[str | bytes]:
    found: list[str | bytes] = []
    while (message := frames.take()) is not None:
        found.append(message.data if isinstance(message.data, str) else bytes(message.data))
    return found


@given(texts=st.lists(st.text(max_size=200), max_size=5), cuts=st.lists(st.integers(0, 3000), max_size=5))
async def test_texts_come_as_they_were_sent_however_they_are_cut_in_pieces(texts: list[str], cuts: list[int]):
    stream, frames, found, begin = (
        b"".join(frame(TEXT, text.encode()) for text in texts),
        Frames(MAX_BYTES),
        [],
        0,
    )
    for end in (*sorted(cuts), len(stream)):
        frames.feed(stream[begin:end])
        found += taken(frames)
        begin = min(end, len(stream))
    assert found == texts


async def test_what_is_not_one_whole_text_is_read_too_and_in_its_place():
    frames = Frames(MAX_BYTES)
    parts = frame(TEXT, b"par", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"tial")
    frames.feed(frame(TEXT, b"first") + parts + frame(BINARY, b"\xff") + frame(TEXT, b"last"))
    assert taken(frames) == ["first", b"p", "partial", b"\xff", "last"]


async def test_of_a_flood_of_tiny_frames_only_a_few_are_made_into_objects_at_once():
    frames, flood = Frames(MAX_BYTES), frame(PING, b"") * 50_000
    frames.feed(flood)
    assert frames.take() is not None
    assert frames.size_bytes > 0.9 * len(flood)
    assert len(taken(frames)) == 49_999


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * (MAX_BYTES + 1)), 1009),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(3, b"x"), 1002),
    ],
    ids=["not UTF-8", "too long", "nothing to continue", "no such opcode"],
)
async def test_what_is_before_a_fault_is_read_and_the_fault_has_its_code(wrong: bytes, code: int):
    frames = Frames(MAX_BYTES)
    frames.feed(frame(TEXT, b"first") + wrong)
    first = frames.take()
    assert first is not None
    assert first.data == "first"
    with pytest.raises(WebSocketError) as caught:
        frames.take()
    assert caught.value.code == code
