"""How many sessions one person may have."""

from unittest.mock import Mock

from realtime.sessions import Sessions


def test_of_one_person_there_are_too_many_only_with_those_that_have_not_ended():
    sessions = Sessions(max_per_user=2)
    mine = [Mock(sid=f"s{number}", ended=False) for number in range(3)]
    for session in mine:
        session.user.id = "1"
        assert not sessions.has_too_many("1")
        sessions.add(session)
    assert sessions.has_too_many("1")
    assert not sessions.has_too_many("2")
    mine[0].ended = True
    assert not sessions.has_too_many("1")
