"""An example of a platform with tasks of its own: it answers what waits for a person, to whoever can sign the question.

    SECRET=… python docs/examples/summary_source.py

It listens on 127.0.0.1, PORT or 9001. SECRET is the one in SUMMARY_SOURCES. What waits is in memory; a platform would
count it in its database, and let nobody else change it.

    POST /summary                   what waits for one person; asked by the notification server
    PUT  /people/acme|17/tasks      {"rejected": 1}: let this wait for them from now on
"""

import hashlib
import hmac
import json
import logging
import os
import time

from aiohttp import web

HOST = "127.0.0.1"
PORT = int(os.environ.get("PORT", "9001"))
MAX_AGE_S = 60

SECRET = web.AppKey("secret", bytes)
TASKS = web.AppKey("tasks", dict[str, dict[str, int]])


def check_signature(request: web.Request, body: bytes) -> None:
    """Refuse what the notification server did not ask just now: made up, changed on the way, or recorded before."""
    timestamp = request.headers.get("X-Notify-Timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > MAX_AGE_S:
        raise web.HTTPUnauthorized(text="The question is too old, or our clocks differ.")
    signed = hmac.new(request.app[SECRET], timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = request.headers.get("X-Notify-Signature", "")
    if not hmac.compare_digest(given.encode(errors="replace"), f"sha256={signed}".encode()):
        raise web.HTTPUnauthorized(text="The signature is wrong.")


async def summary(request: web.Request) -> web.Response:
    """What waits for a person. Nothing is an answer too: an error would count as an outage."""
    body = await request.read()
    check_signature(request, body)
    person = json.loads(body)
    return web.json_response({"tasks": request.app[TASKS].get(person["user_id"], {})})


async def set_tasks(request: web.Request) -> web.Response:
    request.app[TASKS][request.match_info["user"]] = await request.json()
    return web.Response(status=204)


def build_application(secret: str) -> web.Application:
    application = web.Application()
    application[SECRET] = secret.encode()
    application[TASKS] = {}
    application.add_routes([web.post("/summary", summary), web.put("/people/{user}/tasks", set_tasks)])
    return application


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    web.run_app(
        build_application(os.environ["SECRET"]),
        host=HOST,
        port=PORT,
        access_log_format="%r %s",
        print=logging.getLogger().info,
    )
