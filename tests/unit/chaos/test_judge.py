"""The judge sees every breach, and sees none where there is none."""

from dataclasses import replace
from math import inf

import pytest

from tests.chaos.history import Change, Device, Fault, History, Process, Publication, Shown
from tests.chaos.judge import CALM_LAG_S, MAX_GROWTH_BYTES, PATIENCE_S, RECOVERED_S, judge
from tests.chaos.verdict import CALM, RECOVERING

ROOM = "project:1"


def publication(number: int, at: float, **more) -> Publication:
    given = {"accepted_at": at + 0.1, "postings": {ROOM: number}, "ids": {f"id-{number}"}}
    return Publication(f"k{number}", at, **(given | more))


def history(*publications: Publication, devices: int = 1, joined_at: float = 0, faults=()) -> History:
    """Publications in one room, all shown at once on some devices of one person who is in it."""
    shown = [Shown(p.accepted_at, p.key, ROOM, p.postings[ROOM]) for p in publications if p.accepted_at < inf]
    return History(
        publications={p.key: p for p in publications},
        devices={f"d{n}": Device(f"d{n}", "1", 0, list(shown)) for n in range(devices)},
        changes=[Change("1", (ROOM,), (), joined_at, joined_at + 0.1)],
        faults=list(faults),
    )


@pytest.fixture
def clean() -> History:
    return history(*(publication(number, float(number)) for number in range(1, 6)))


def test_a_run_in_which_all_is_shown_has_no_breach(clean: History):
    verdict = judge(clean)
    assert verdict.breaches == {}
    total = verdict.total
    assert (total.accepted, total.due, total.shown) == (5, 5, 5)
    assert (total.lost, total.doubled, total.out_of_order, total.leaked) == (0, 0, 0, 0)


def test_what_was_accepted_and_not_shown_is_lost(clean: History):
    del clean.devices["d0"].shown[2]
    verdict = judge(clean)
    assert verdict.breaches.keys() == {"lost"}
    assert verdict.total.lost == 1


def test_what_was_shown_twice_is_doubled(clean: History):
    clean.devices["d0"].shown.append(clean.devices["d0"].shown[-1])
    verdict = judge(clean)
    assert verdict.breaches.keys() == {"doubled"}
    assert verdict.total.doubled == 1


def test_what_stands_in_the_log_twice_is_doubled(clean: History):
    clean.devices["d0"].shown.append(Shown(7, "k5", ROOM, 6))
    assert judge(clean).breaches.keys() == {"doubled"}


def test_a_smaller_offset_behind_a_larger_one_is_out_of_order(clean: History):
    shown = clean.devices["d0"].shown
    shown[1], shown[2] = shown[2], shown[1]
    verdict = judge(clean)
    assert verdict.breaches.keys() == {"out of order"}
    assert verdict.total.out_of_order == 1


@pytest.mark.parametrize(
    "shown", [Shown(3, "forged", ROOM, 3), Shown(3, "k3", "global", 3), Shown(3, "k3", ROOM, None)]
)
def test_what_nobody_published_there_is_not_theirs(clean: History, shown: Shown):
    clean.devices["d0"].shown.insert(3, shown)
    verdict = judge(clean)
    assert verdict.breaches.keys() == {"not theirs"}
    assert verdict.total.leaked == 1


def test_one_key_accepted_as_two_notifications_is_a_breach(clean: History):
    clean.publications["k1"].ids.add("another")
    assert judge(clean).breaches.keys() == {"accepted twice"}


def test_one_offset_for_two_notifications_is_a_breach(clean: History):
    clean.publications["k1"].postings = {ROOM: 2}
    assert "one offset for two" in judge(clean).breaches


def test_without_an_answer_nothing_is_due_and_all_is_allowed(clean: History):
    clean.publications["k6"] = Publication("k6", 6.0)
    assert judge(clean).breaches == {}
    clean.devices["d0"].shown.append(Shown(6.2, "k6", ROOM, 6))
    assert judge(clean).breaches == {}


def test_what_was_published_before_a_device_was_first_live_is_not_due(clean: History):
    device = clean.devices["d0"]
    device.live_at = 2.5
    del device.shown[:2]
    assert judge(clean).breaches == {}
    del device.shown[0]
    assert judge(clean).breaches.keys() == {"lost"}


def test_what_was_published_after_somebody_had_left_is_not_theirs(clean: History):
    clean.changes.append(Change("1", (), (ROOM,), 3.5, 3.8))
    assert judge(clean).total.leaked == 2
    del clean.devices["d0"].shown[3:]
    assert judge(clean).breaches == {}


def test_what_was_published_while_somebody_left_may_be_shown_or_not_but_on_all_devices_alike():
    run = history(*(publication(n, float(n)) for n in range(1, 6)), devices=2)
    run.changes.append(Change("1", (), (ROOM,), 2.5, 5.5))
    for device in run.devices.values():
        del device.shown[4:]
    assert judge(run).breaches == {}
    del run.devices["d1"].shown[3:]
    assert judge(run).breaches.keys() == {"lost"}


def test_what_was_published_while_somebody_joined_is_due_from_the_first_that_was_shown():
    run = history(*(publication(n, float(n)) for n in range(1, 6)), devices=2)
    run.changes = [Change("1", (ROOM,), (), 0.5, 4.5)]
    for device in run.devices.values():
        del device.shown[:2]
    assert judge(run).breaches == {}
    del run.devices["d0"].shown[1]
    assert judge(run).breaches.keys() == {"lost"}


def test_a_device_that_is_told_that_something_is_gone_is_a_breach_unless_the_epoch_was_changed(
    clean: History,
):
    device = clean.devices["d0"]
    device.unrecovered.append((4.0, (ROOM,)))
    del device.shown[1]
    assert judge(clean).breaches.keys() == {"lost", "not recovered"}
    clean.faults.append(Fault("new_epoch", 3, 4))
    verdict = judge(clean)
    assert (verdict.breaches, verdict.told) == ({}, 1)


def test_what_is_late_though_no_fault_was_left_is_a_breach(clean: History):
    last = clean.devices["d0"].shown.pop()
    clean.devices["d0"].shown.append(replace(last, at=last.at + PATIENCE_S + 1))
    assert judge(clean).breaches.keys() == {"late"}
    clean.faults.append(Fault("server_kill", 4, 10))
    assert judge(clean).breaches == {}


def test_what_comes_with_a_return_is_as_late_as_the_return(clean: History):
    clean.changes += [Change("1", (), (ROOM,), 5.5, 5.6), Change("1", (ROOM,), (), 99, 99.1)]
    last = clean.devices["d0"].shown.pop()
    clean.devices["d0"].shown.append(replace(last, at=100))
    verdict = judge(clean)
    assert verdict.breaches == {}
    assert verdict.total.lag_s(1) == pytest.approx(0.9)


def test_slow_delivery_in_calm_is_a_breach():
    run = history(*(publication(number, float(number)) for number in range(1, 41)))
    device = run.devices["d0"]
    device.shown = [replace(shown, at=shown.at + CALM_LAG_S + 0.1) for shown in device.shown]
    assert judge(run).breaches.keys() == {"slow"}


def test_rows_say_in_the_time_of_which_fault_it_was():
    at = [1, 10, 20, 20 + RECOVERED_S]
    run = history(*(publication(n, time) for n, time in enumerate(at, 1)))
    run.faults = [Fault("server_kill", 9, 11), Fault("redis_kill", 8, 12)]
    accepted = {row.fault: (row.times, row.accepted) for row in judge(run).rows}
    assert accepted == {
        "in all": (2, 4),
        "redis_kill": (1, 1),
        "server_kill": (1, 1),
        RECOVERING: (0, 1),
        CALM: (0, 2),
    }


def test_what_is_left_behind_grows_or_gave_up_is_a_breach(clean: History):
    clean.gauges = {"notify_sessions of server 0": 1, "notify_rooms of server 0": 0}
    clean.processes = {7: Process(0, [10 << 20] * 6 + [MAX_GROWTH_BYTES + (11 << 20)])}
    clean.devices["d0"].failures.append("RefusedError: token_revoked")
    clean.remarks.append("refused: k9 forbidden")
    assert judge(clean).breaches.keys() == {"left behind", "memory", "gave up", "remarks"}
