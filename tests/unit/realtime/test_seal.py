import hmac
from base64 import urlsafe_b64encode

import orjson
import pytest

from core.domain.ids import new_id
from realtime.seal import SERVERS, Forged, Message, Seal, channel_of, room_of

SEAL = Seal("a secret of tests that is long enough")
POSTING = Message("e1", "user:1", 12, 3, orjson.dumps(("notification", {"title": "任务被驳回", "n": 1.5})))


@pytest.mark.parametrize(
    "message",
    [
        POSTING,
        Message("e1", "user:1", 12, 3, None),
        Message(new_id(), "user:1", None, 0, b'["inbox",{"unread":2}]'),
        Message(new_id(), "project:7:reviewer", None, 0, None),
        Message(new_id(), SERVERS, None, 0, b'["beat",{}]'),
    ],
)
def test_what_is_sealed_is_opened_again(message: Message):
    assert SEAL.open(message.room, SEAL.close(message)) == message


def test_the_form_is_that_of_the_docs():
    sent = orjson.loads(SEAL.close(POSTING))
    assert sent == {
        "v": 1,
        "e": "e1",
        "r": "user:1",
        "o": 12,
        "m": 3,
        "b": ["notification", {"title": "任务被驳回", "n": 1.5}],
        "s": sent["s"],
    }
    assert len(sent["s"]) == 43


def test_what_is_sealed_for_one_room_is_not_taken_in_another():
    with pytest.raises(Forged):
        SEAL.open("user:2", SEAL.close(POSTING))


def test_another_secret_is_another_seal():
    with pytest.raises(Forged):
        Seal("another secret of tests, long enough too").open("user:1", SEAL.close(POSTING))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("e", "e2"),
        ("r", "user:2"),
        ("o", 13),
        ("o", None),
        ("m", 4),
        ("b", None),
        ("b", ["notification", {"title": "x"}]),
        ("s", ""),
        ("s", None),
        ("s", "ä" * 43),
        ("v", 2),
        ("o", True),
        ("o", "12"),
        ("m", 1.0),
        ("e", 1),
    ],
)
def test_nothing_can_be_changed(field: str, value: object):
    changed = orjson.dumps(orjson.loads(SEAL.close(POSTING)) | {field: value})
    with pytest.raises(Forged):
        SEAL.open("user:2" if (field, value) == ("r", "user:2") else "user:1", changed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"method":"enter_room","sid":"x","room":"user:1"}',
        b'{"v":1,"e":"e1","r":"user:1","o":1000000000,"m":0,"b":null,"s":"x"}',
        b'{"v":1,"e":"e1","r":"user:1","o":1,"m":0,"b":%b%b,"s":"x"}' % (b"[" * 300, b"]" * 300),
    ],
)
def test_what_anybody_may_publish_is_refused(data: bytes):
    with pytest.raises(Forged):
        SEAL.open("user:1", data)


def test_an_extra_field_is_refused():
    with pytest.raises(Forged):
        SEAL.open("user:1", orjson.dumps(orjson.loads(SEAL.close(POSTING)) | {"x": 1}))


def test_the_key_is_not_the_secret_itself():
    """Tokens are signed with the secret: a signature of one kind must be of no use as the other."""
    sent = orjson.loads(SEAL.close(POSTING))
    place = orjson.dumps((1, "e1", "user:1", 12, 3)) + (POSTING.body or b"")
    plain = hmac.digest(b"a secret of tests that is long enough", place, "sha256")
    assert urlsafe_b64encode(plain).decode().rstrip("=") != sent["s"]


@pytest.mark.parametrize("room", ["user:1", "project:7:reviewer", "global", SERVERS])
def test_channels_and_rooms_are_each_others_inverse(room: str):
    assert room_of(channel_of(room)) == room


def test_messages_of_the_servers_are_outside_the_rooms_channels():
    assert not channel_of(SERVERS).startswith("notify:")
