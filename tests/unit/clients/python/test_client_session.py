import asyncio
import contextlib
import logging

import pytest

from clients.python import (
    HandlerFailedError,
    NotificationClient,
    RefusedError,
    SessionEndedError,
    StateFileError,
    client,
    connection,
    journal,
    upkeep,
)


async def test_a_first_login_sends_no_position_and_stands_at_the_base(peer, start, record):
    start()
    link = await peer.connected()
    assert link.auth == {"token": "secret-token"}
    await link.begin({"user:1": 7})
    await link.post("user:1", 7)
    await link.post("user:1", 8)
    assert (await record.next("notification"))["offset"] == 8
    assert (await record.next("session", state="syncing"))["recovered"] == {"user:1": True}


async def test_after_a_loss_it_resumes_from_what_was_applied(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 7})
    await link.post("user:1", 8)
    await record.next("notification")
    await link.cut()
    link = await peer.connected()
    assert link.sent == {"epoch": "e1", "position": {"user:1": 8}}


async def test_a_replay_and_the_live_events_are_applied_once_and_in_order(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    for offset in (1, 1, 2, 1, 3, 2, 3, 4):
        await link.post("user:1", offset)
    await record.next("notification", offset=4)
    assert record.offsets() == [1, 2, 3, 4]


async def test_a_hole_is_asked_for_once_and_nothing_is_applied_before_it_is_filled(
    peer, start, record, silence
):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "global": 5}, heartbeat_s=0.02)
    peer.answers["sync"] = silence
    await link.post("user:1", 3)
    await link.post("user:1", 4)
    await link.post("global", 6)
    assert await link.said("sync") == {"epoch": "e1", "position": {"user:1": 1, "global": 5}}
    await record.next("notification", room="global")
    assert record.offsets() == [6]
    await link.said("ping")
    await link.said("ping")
    assert link.silent("sync")


async def test_the_hole_is_filled_by_the_replay_that_follows_the_answer(peer, start, record):
    start()
    link = await peer.connected()
    peer.answers["sync"] = {
        "ok": True,
        "recovered": {"user:1": True},
        "position": {"user:1": 4},
        "skip": {"user:1": [[2, 2]]},
    }
    await link.begin({"user:1": 1})
    await link.post("user:1", 4)
    await link.said("sync")
    await record.next("session", state="synced")
    await link.post("user:1", 3)
    await link.post("user:1", 4)
    await record.next("notification", offset=4)
    assert record.offsets() == [3, 4]


async def test_what_a_sync_cannot_recover_is_reported_and_stepped_past(peer, start, record):
    start()
    link = await peer.connected()
    peer.answers["sync"] = {
        "ok": True,
        "recovered": {"user:1": False},
        "position": {"user:1": 900},
        "skip": {},
    }
    await link.begin({"user:1": 1})
    await link.post("user:1", 900)
    assert (await record.next("session", state="synced"))["recovered"] == {"user:1": False}
    await link.post("user:1", 901)
    await record.next("notification", offset=901)


async def test_runs_that_the_server_names_are_stepped_over(peer, start, record, tmp_path):
    run = start(state=tmp_path / "state")
    await (await peer.connected()).begin({"user:1": 10})
    await record.next("state", state="live")
    run.client.close()
    await run.over()
    start(state=tmp_path / "state")
    link = await peer.connected()
    await link.begin({"user:1": 15}, skip={"user:1": [[11, 11], [13, 14]]}, live=False)
    await link.post("user:1", 12)
    await link.post("user:1", 15)
    await link.live()
    await record.next("notification", offset=15)
    assert link.silent("sync")


async def test_a_replay_that_falls_short_of_the_base_is_a_hole(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 10})
    await record.next("state", state="live")
    await link.cut()
    link = await peer.connected()
    await link.begin({"user:1": 12}, live=False)
    await link.post("user:1", 11)
    await link.live()
    assert (await link.said("sync"))["position"] == {"user:1": 11}


async def test_a_room_that_was_not_recovered_stands_at_its_base_and_is_reported(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "global": 1})
    await record.next("state", state="live")
    await link.cut()
    link = await peer.connected()
    await link.begin({"user:1": 700, "global": 2}, recovered={"user:1": False, "global": True}, live=False)
    await link.post("global", 2)
    await link.live()
    await record.next("session", recovered={"user:1": False, "global": True})
    await link.post("user:1", 701)
    await record.next("notification", room="user:1", offset=701)


async def test_another_epoch_voids_the_position_but_not_the_ids(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1})
    await link.post("user:1", 2, id="n-2")
    await record.next("notification")
    await link.cut()
    link = await peer.connected()
    await link.begin({"user:1": 0}, epoch="e2")
    await record.next("session", recovered={"user:1": False})
    await link.post("user:1", 1, id="n-2", epoch="e2")
    await link.post("user:1", 2, id="n-3", epoch="e2")
    assert (await record.next("notification"))["id"] == "n-3"


async def test_rooms_come_and_go_with_the_session(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "project:7": 3})
    await record.next("state", state="live")
    await link.cut()
    link = await peer.connected()
    await link.begin({"user:1": 1, "project:8": 9, "project:9": 4}, live=False)
    await link.post("project:8", 8)
    await link.post("project:8", 9)
    await link.live()
    await record.next("notification", offset=9)
    await record.next("state", state="live")
    await link.cut()
    link = await peer.connected()
    assert link.sent["position"] == {"user:1": 1, "project:7": 3, "project:8": 9, "project:9": 4}


async def test_rooms_come_and_go_while_live(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "project:7": 3})
    await link.emit("rooms", {"joined": {"project:8": 31}, "left": ["project:7"]})
    await link.post("project:8", 32)
    await record.next("notification", room="project:8")
    await link.cut()
    assert (await peer.connected()).sent["position"] == {"user:1": 1, "project:7": 3, "project:8": 32}


async def test_who_comes_back_to_a_room_asks_for_the_rest_of_what_was_due_there(peer, start):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "project:7": 3})
    await link.emit("rooms", {"joined": {}, "left": ["project:7"]})
    await link.emit("rooms", {"joined": {"project:7": 9}, "left": []})
    assert (await link.said("sync"))["position"]["project:7"] == 3


async def test_what_a_posting_says_was_left_out_is_no_hole(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1})
    await link.post("user:1", 4, skip=[[2, 3]])
    assert (await record.next("notification"))["offset"] == 4


async def test_what_is_ephemeral_is_shown_and_moves_nothing(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1})
    await link.post("user:1", None, id="x")
    await link.post("user:1", 2)
    await record.next("notification", offset=2)
    assert record.offsets() == [None, 2]


async def test_what_is_of_another_epoch_is_ignored(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1})
    await link.post("user:1", 2, epoch="e0")
    await link.post("user:1", 2, id="right")
    assert (await record.next("notification"))["id"] == "right"


async def test_a_notification_to_two_rooms_is_shown_once_and_moves_both(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1, "global": 1})
    await link.post("user:1", 2, id="same")
    await link.post("global", 2, id="same")
    await link.post("global", 3, id="last")
    await record.next("notification", id="last")
    assert [payload["id"] for event, payload in record.seen if event == "notification"] == ["same", "last"]
    await link.cut()
    assert (await peer.connected()).sent["position"] == {"user:1": 2, "global": 3}


async def test_a_change_is_always_handed_on(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 1})
    await link.post("user:1", 2, id="n")
    await link.emit("changed", {"kind": "retract", "room": "user:1", "offset": 3, "epoch": "e1", "id": "n"})
    assert (await record.next("changed"))["kind"] == "retract"
    await link.post("user:1", 4)
    await record.next("notification", offset=4)


async def test_handlers_run_one_at_a_time_in_order(peer, start):
    running, most, order = 0, 0, []
    done = asyncio.Event()

    async def slow(notification):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - notification["offset"]):
            await asyncio.sleep(0)
        order.append(notification["offset"])
        running -= 1
        if len(order) == 9:
            done.set()

    start(on_notification=slow)
    link = await peer.connected()
    await link.begin({"user:1": 0})
    for offset in range(1, 10):
        await link.post("user:1", offset)
    await asyncio.wait_for(done.wait(), 5)
    assert (order, most) == (list(range(1, 10)), 1)


async def test_an_event_whose_handler_raised_comes_again_over_a_new_connection(peer, start, record):
    attempts = []

    def fragile(notification):
        attempts.append(notification["offset"])
        if len(attempts) == 1:
            raise ValueError("once")
        record.take("notification", notification)

    start(on_notification=fragile)
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await link.post("user:1", 1)
    await link.post("user:1", 2)
    link = await peer.connected()
    assert link.sent["position"] == {"user:1": 0}
    await link.begin({"user:1": 2}, live=False)
    await link.post("user:1", 1)
    await link.post("user:1", 2)
    await record.next("notification", offset=2)
    assert attempts == [1, 1, 2]


async def test_a_handler_that_always_raises_ends_the_client(peer, start):
    def broken(_notification):
        raise ValueError("always")

    run = start(on_notification=broken)
    for _ in range(client.HANDLER_TRIES):
        link = await peer.connected()
        await link.begin({"user:1": 0}, live=False)
        await link.post("user:1", 1)
    with pytest.raises(HandlerFailedError) as raised:
        await run.over()
    assert isinstance(raised.value.__cause__, ValueError)


async def test_a_handler_that_raises_now_and_then_ends_nothing(peer, start, record):
    peer.answers["ping"] = {"type": "pong", "epoch": "e1", "position": {}}
    beats = 0

    def every_second_time(_pong):
        nonlocal beats
        beats += 1
        if beats % 2 == 0:
            raise ValueError("now and then")

    start(on_heartbeat=every_second_time)
    for _ in range(client.HANDLER_TRIES + 2):
        link = await peer.connected()
        await link.begin({"user:1": 0}, heartbeat_s=0.02)
        await record.next("state", state="waiting")


async def test_a_handler_that_raises_each_time_it_is_live_ends_the_client(peer, start):
    def broken(session):
        if session["state"] == "live":
            raise ValueError("always")

    run = start(on_session=broken)
    for _ in range(client.HANDLER_TRIES):
        await (await peer.connected()).begin({"user:1": 0})
    with pytest.raises(HandlerFailedError, match="session"):
        await run.over()


async def test_who_is_cancelled_as_the_connection_opens_leaves_none_behind(peer, monkeypatch):
    async def open_and_cancel(*arguments):
        opened = await connection.open_connection(*arguments)
        asyncio.get_running_loop().call_soon(running.cancel)
        return opened

    monkeypatch.setattr(client, "open_connection", open_and_cancel)
    running = asyncio.create_task(NotificationClient(peer.url, "secret-token").run())
    link = await peer.connected()
    await asyncio.wait({running})
    assert running.cancelled()
    async with asyncio.timeout(5):
        await link.gone.wait()


async def test_a_state_file_that_cannot_be_written_ends_the_client(peer, start, tmp_path, monkeypatch):
    run = start(state=tmp_path / "state")
    link = await peer.connected()
    monkeypatch.setattr(journal.os, "write", lambda *_: 0)
    await link.begin({"user:1": 0})
    with pytest.raises(StateFileError, match="full"):
        await run.over()


async def test_a_state_handler_that_raises_ends_the_client(peer, start):
    def broken(payload):
        if payload["state"] == "live":
            raise ZeroDivisionError

    run = start(on_state=broken)
    await (await peer.connected()).begin({"user:1": 0})
    with pytest.raises(ZeroDivisionError):
        await run.over()


async def test_more_than_the_inbox_holds_closes_the_connection_and_loses_nothing(
    peer, start, record, monkeypatch
):
    monkeypatch.setattr(connection, "INBOX_EVENTS", 5)
    gate = asyncio.Event()

    async def slow(notification):
        await gate.wait()
        record.take("notification", notification)

    start(on_notification=slow)
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await record.next("state", state="live")
    for offset in range(1, 20):
        await link.post("user:1", offset)
    await asyncio.wait_for(link.gone.wait(), 5)
    gate.set()
    link = await peer.connected()
    applied = link.sent["position"]["user:1"]
    assert 5 <= applied <= 6
    assert record.offsets() == list(range(1, applied + 1))


async def test_the_heartbeat_tells_the_position_and_measures_the_answer(peer, start, record, caplog):
    caplog.set_level(logging.INFO, "clients.python")
    peer.answers["ping"] = lambda ping: {"type": "pong", "timestamp": ping["timestamp"], "epoch": "e1"}
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    ping = await link.said("ping")
    assert ping.pop("timestamp") > 1_600_000_000_000
    assert ping == {"type": "ping", "epoch": "e1", "position": {"user:1": 4}}
    pong = await record.next("heartbeat")
    assert 0 <= pong["latency_ms"] < 5000
    assert "💓 [WS] 发送心跳" in caplog.text
    assert f"💓 [WS] 收到心跳响应 延迟: {pong['latency_ms']}ms" in caplog.text


async def test_a_pong_that_is_ahead_asks_for_what_is_missing_again_at_each_heartbeat(peer, start):
    peer.answers["ping"] = {"type": "pong", "epoch": "e1", "position": {"user:1": 6, "project:9": 3}}
    peer.answers["sync"] = {"ok": False, "error": {"code": "sync_in_progress", "message": ""}}
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    assert (await link.said("sync"))["position"] == {"user:1": 4}
    await link.said("ping")
    await link.said("sync")


async def test_a_pong_during_the_replay_asks_for_nothing(peer, start, record):
    peer.answers["ping"] = {"type": "pong", "epoch": "e1", "position": {"user:1": 6}}
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4})
    await record.next("state", state="live")
    await link.cut()
    link = await peer.connected()
    await link.begin({"user:1": 6}, heartbeat_s=0.02, live=False)
    await record.next("heartbeat")
    await record.next("heartbeat")
    assert link.silent("sync")


async def test_a_pong_of_another_epoch_starts_afresh(peer, start, record):
    peer.answers["ping"] = {"type": "pong", "epoch": "e2", "position": {}}
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    link = await peer.connected()
    await link.begin({"user:1": 1}, epoch="e2")
    await record.next("session", recovered={"user:1": False})


async def test_a_server_that_stops_answering_is_left_and_found_again(peer, start, silence):
    peer.answers["ping"] = silence
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    await asyncio.wait_for(link.gone.wait(), 5)
    assert (await peer.connected()).sent == {"epoch": "e1", "position": {"user:1": 4}}


async def test_a_newer_inbox_is_noticed_once(peer, start, record):
    peer.answers["ping"] = {"type": "pong", "epoch": "e1", "position": {}, "inbox_version": 41}
    start()
    link = await peer.connected()
    await link.emit("summary", {"version": 1})
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    await link.emit("summary", {"version": 40})
    assert await record.next("inbox_stale") == {"version": 41}
    for _ in range(3):
        await record.next("heartbeat")
    assert [payload for event, payload in record.seen if event == "inbox_stale"] == [{"version": 41}]


async def test_what_was_applied_is_acknowledged_once_for_a_burst(peer, start, monkeypatch):
    monkeypatch.setattr(upkeep, "ACK_DELAY_S", 0.1)
    start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    for offset in range(1, 6):
        await link.post("user:1", offset)
    assert await link.said("ack") == {"epoch": "e1", "position": {"user:1": 5}}
    assert link.silent("ack")


async def test_what_was_acknowledged_is_not_acknowledged_again(peer, start, monkeypatch):
    monkeypatch.setattr(upkeep, "ACK_DELAY_S", 0)
    start()
    link = await peer.connected()
    await link.begin({"user:1": 0}, heartbeat_s=0.02)
    await link.said("ack")
    for _ in range(4):
        await link.said("ping")
    assert link.silent("ack")


async def test_closing_acknowledges_what_was_applied(peer, start, record):
    run = start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await link.post("user:1", 1)
    await record.next("notification")
    run.client.close()
    await run.over()
    assert (await link.said("ack"))["position"] == {"user:1": 1}
    await record.next("state", state="closed")


async def test_a_session_that_ends_says_when_to_come_back(peer, start, record):
    start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await link.emit("session", {"state": "ending", "reason": "server_stopping", "retry": True, "retry_ms": 7})
    assert (await record.next("state", state="waiting"))["delay_ms"] == 7
    await peer.connected()


async def test_as_long_as_the_server_says_when_to_come_back_no_try_is_used_up(peer, start, record):
    start()
    too_many = {"state": "ending", "reason": "too_many_sessions", "retry": True, "retry_ms": 1}
    for _ in range(12):
        await (await peer.connected()).emit("session", too_many)
        assert (await record.next("state", state="waiting"))["attempt"] == 1
    await (await peer.connected()).begin({"user:1": 0})
    await record.next("state", state="live")


async def test_a_session_that_ends_for_good_ends_the_client(peer, start):
    run = start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await link.emit("session", {"state": "ending", "reason": "revoked", "retry": False})
    with pytest.raises(SessionEndedError, match="revoked"):
        await run.over()
    assert peer.unvisited()


async def test_a_refusal_is_final(peer, start):
    peer.refusals = ["token_invalid"]
    run = start()
    with pytest.raises(RefusedError, match="token_invalid"):
        await run.over()
    assert peer.unvisited()


async def test_an_expired_token_is_final_without_another_one(peer, start):
    peer.refusals = ["token_expired"]
    with pytest.raises(RefusedError, match="token_expired"):
        await start().over()


async def test_an_expired_token_is_renewed_once(peer, start):
    peer.refusals = ["token_expired"]
    tokens = iter(["old", "new"])

    async def provide():
        return next(tokens)

    start(provide)
    assert (await peer.connected()).auth["token"] == "new"


async def test_a_second_refusal_after_renewal_is_final(peer, start):
    peer.refusals = ["token_expired", "token_expired"]

    async def provide():
        return "any"

    with pytest.raises(RefusedError, match="token_expired"):
        await start(provide).over()


async def test_no_log_line_has_a_token_or_a_text(peer, start, record, caplog):
    caplog.set_level(logging.DEBUG)
    run = start()
    link = await peer.connected()
    await link.begin({"user:1": 0})
    await link.post("user:1", 1)
    await record.next("notification")
    await link.cut()
    await peer.connected()
    run.client.close()
    with contextlib.suppress(TimeoutError):
        await run.over()
    ours = [message for name, _, message in caplog.record_tuples if name.startswith("clients")]
    assert ours
    assert not [message for message in ours if "secret" in message]
