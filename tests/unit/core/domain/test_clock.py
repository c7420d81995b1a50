from datetime import datetime, timedelta, timezone

from core.domain import clock


def test_a_moment_goes_over_the_wire_in_utc_with_milliseconds():
    in_china = datetime(2026, 1, 31, 8, 0, 0, 123_999, timezone(timedelta(hours=8)))

    assert clock.rfc3339(in_china) == "2026-01-31T00:00:00.123Z"


def test_now_is_what_the_wire_can_carry():
    moment = clock.now()

    assert datetime.fromisoformat(clock.rfc3339(moment)) == moment
