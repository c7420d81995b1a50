"""python-socketio on aiohttp as its documentation has it, at PORT."""

import os
from typing import Any

import socketio
from aiohttp import web

sio = socketio.AsyncServer(async_mode="aiohttp")


async def connect(sid: str, _environ: dict[str, Any], auth: dict[str, str]) -> None:
    await sio.enter_room(sid, auth["room"])


async def ping(sid: str, beat: Any) -> None:
    await sio.emit("pong", beat, room=sid)


async def publish(request: web.Request) -> web.Response:
    publication = await request.json()
    await sio.emit(publication["event"], publication["payload"], room=publication["room"])
    return web.Response(status=201)


def main() -> None:
    sio.on("connect", connect)
    sio.on("ping", ping)
    app = web.Application()
    sio.attach(app)
    app.router.add_post("/api/v1/publish", publish)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        backlog=4096,
        access_log=None,
        print=lambda _: print("listening", flush=True),
    )


if __name__ == "__main__":
    main()
