"""Another database takes over: everybody is told, nobody hangs, and all end up with what the server has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update

from clients.python import NotificationClient
from core.store import tables
from tests.support.processes import ServerProcess, run_command
from tests.support.stage import Caller, Recorder, logged_in, until
from tests.support.store import opened


class Device:
    """A client with its state in a file, which may come and go."""

    def __init__(self, url: str, token: str, state: Path) -> None:
        self.shown, self.sessions, self.summaries = Recorder(), Recorder(), Recorder()
        self._make = lambda: NotificationClient(
            url,
            token,
            state=state,
            on_notification=lambda notification: self.shown.append(notification["title"]),
            on_session=self.sessions.append,
            on_summary=self.summaries.append,
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        client = self._make()
        running = asyncio.create_task(client.run())
        before = len(self.summaries)
        try:
            await until(lambda: len(self.summaries) > before)
            yield
        finally:
            client.close()
            await running

    @property
    def recovered(self) -> dict[str, bool]:
        """What it was told last of its rooms."""
        return next(s["recovered"] for s in reversed(self.sessions) if s["state"] == "syncing")


async def inbox(caller: Caller) -> list[str]:
    _, page = await caller.call("GET", "inbox?limit=100")
    return [item["title"] for item in reversed(page["items"])]


async def publish(admin: Caller, *titles: str) -> None:
    for title in titles:
        await admin.publish("user:1", title=title)


async def test_clients_of_both_sides_of_a_restore_end_up_with_what_the_server_has(
    sqlite_server: ServerProcess, tmp_path: Path
):
    server, backup = sqlite_server, str(tmp_path / "backup.db")
    env = {"DATABASE_URL": server.database_url}
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        stays, away, late = [
            Device(server.url, zhangsan.token, tmp_path / name) for name in ("stays", "away", "late")
        ]
        async with stays.connected():
            async with away.connected():
                await publish(admin, "one", "two")
                await until(lambda: len(stays.shown) == len(away.shown) == 2)
                await asyncio.to_thread(run_command, "backup", backup, env=env)
                await publish(admin, "lost in the restore", "this too")
                await until(lambda: len(stays.shown) == len(away.shown) == 4)
            await asyncio.to_thread(run_command, "restore", backup, env=env)
            await publish(admin, "three")
            await until(lambda: len(stays.summaries) == 2)
            await publish(admin, "four")
            await until(lambda: "four" in stays.shown)
            assert [s["reason"] for s in stays.sessions if s["state"] == "ending"] == ["epoch_changed"]
            assert not any(stays.recovered.values())
            async with away.connected(), late.connected():
                assert not any(away.recovered.values())
                assert all(late.recovered.values())
                await publish(admin, "five")
                await until(lambda: all("five" in device.shown for device in (stays, away, late)))
                epochs = {device.summaries[-1]["epoch"] for device in (stays, away, late)}
                _, page = await zhangsan.call("GET", "inbox")
                assert epochs == {page["epoch"]}
        assert await inbox(zhangsan) == ["one", "two", "three", "four", "five"]
        for device in (stays, away, late):
            assert len(set(device.shown)) == len(device.shown), "shown twice"
        assert away.shown == ["one", "two", "lost in the restore", "this too", "five"]
        assert late.shown == ["five"]


def lose_the_newest(connection: Any, room: str, head: int) -> None:
    """What a replica that lagged does when it is promoted: the last postings were never there."""
    posting = tables.posting.c
    connection.execute(delete(tables.posting).where(posting.room == room, posting.offset > head))
    connection.execute(update(tables.room).where(tables.room.c.name == room).values(head=head))


async def test_a_database_that_lacks_what_was_delivered_begins_another_epoch(
    server: ServerProcess, tmp_path: Path
):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        device = Device(server.url, zhangsan.token, tmp_path / "state")
        async with device.connected():
            await publish(admin, "one", "two", "three")
            await until(lambda: len(device.shown) == 3)
            epoch = device.summaries[-1]["epoch"]
            async with opened(server.database_url) as database:
                await database.write(lambda connection: lose_the_newest(connection, "user:1", 1))
            await until(lambda: len(device.summaries) == 2)
            assert [s["reason"] for s in device.sessions if s["state"] == "ending"] == ["epoch_changed"]
            assert device.summaries[-1]["epoch"] != epoch
            assert device.recovered["user:1"] is False
            published = await admin.publish("user:1", title="four")
            assert published["postings"] == {"user:1": 2}
            await until(lambda: device.shown[-1] == "four")
        assert device.shown == ["one", "two", "three", "four"]
        assert await inbox(zhangsan) == ["one", "four"]
