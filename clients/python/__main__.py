"""`python -m clients.python listen | send`: receive and publish from a terminal or a script."""

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import typer

from .auth import login
from .connection import TRANSPORTS
from .errors import ClientError
from .listening import Listener
from .output import JsonOutput, LineOutput
from .publisher import Content, Publisher, PublishResult

DEFAULT_URL = "http://127.0.0.1:8000"
SAFER = "Safer in the environment: other users of this machine can read arguments."

T = TypeVar("T")

app = typer.Typer(
    help="Receive and publish notifications.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _http_url(value: str) -> str:
    """An address that can be reached at all; another one would be tried again and again."""
    try:
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return value
    except ValueError:
        pass
    raise typer.BadParameter("The server is at http://… or https://….")


Url = Annotated[
    str,
    typer.Option(envvar="NOTIFY_URL", callback=_http_url, help="Where the server is: http:// or https://."),
]


@app.command()
def listen(  # the options of a command
    *,
    url: Url = DEFAULT_URL,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=["NOTIFY_TOKEN", "NOTIFY_API_KEY"],
            help=f"A token, or an API key bound to a person. {SAFER}",
        ),
    ] = None,
    username: Annotated[str | None, typer.Option(help="Log in, instead of using a token.")] = None,
    password: Annotated[str | None, typer.Option(envvar="NOTIFY_PASSWORD", help=SAFER)] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="A file that keeps the position: the next run goes on where this one ended."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="One JSON object a line; a position is stored after its line was flushed."
        ),
    ] = False,
    websocket_only: Annotated[
        bool, typer.Option("--websocket-only", help="Never fall back to polling.")
    ] = False,
) -> None:
    """Show notifications as they come, until Ctrl-C.

    Exit code: 0 ended by a signal, 1 refused or given up, 2 wrong usage.
    """
    if token is None and username is None:
        raise typer.BadParameter("give a token (NOTIFY_TOKEN) or --username")
    if username is not None and password is None:
        raise typer.BadParameter("--username needs --password (NOTIFY_PASSWORD)")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    output = JsonOutput() if as_json else LineOutput()
    transports = TRANSPORTS[:1] if websocket_only else TRANSPORTS

    async def follow() -> Listener:
        source = token or "" if username is None else await login(url, username, password or "")
        listener = Listener(url, source, state, transports, output)
        await listener.run()
        return listener

    if _run(follow()).gave_up:
        raise typer.Exit(1)


@app.command()
def send(  # noqa: PLR0913  # the options of a command
    *,
    to: Annotated[
        list[str], typer.Option(help="A room: user:1, role:reviewer, project:7, global. Repeatable.")
    ],
    title: Annotated[str, typer.Option()],
    url: Url = DEFAULT_URL,
    token: Annotated[
        str | None, typer.Option(envvar="NOTIFY_TOKEN", help=f"A person's token. {SAFER}")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="NOTIFY_API_KEY", help=f"A program's key; goes before a token. {SAFER}"),
    ] = None,
    content: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option("--type", help="E.g. task.submitted.")] = None,
    level: Annotated[str | None, typer.Option(help="info, success, warning or error.")] = None,
    urgent: Annotated[bool, typer.Option("--urgent")] = False,
    data: Annotated[str | None, typer.Option(help="JSON.")] = None,
    link: Annotated[str | None, typer.Option()] = None,
    thread: Annotated[str | None, typer.Option(help="What it is about, e.g. task:17.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sending again with the same key publishes nothing new.")
    ] = None,
) -> None:
    """Publish one notification and print the answer as JSON.

    Exit code: 0 accepted, 1 not accepted, 2 wrong usage.
    """
    if token is None and api_key is None:
        raise typer.BadParameter("give an API key (NOTIFY_API_KEY) or a token (NOTIFY_TOKEN)")
    given = {
        "content": content,
        "type": kind,
        "level": level,
        "urgent": urgent or None,
        "data": _json(data),
        "link": link,
        "thread": thread,
    }
    fields = Content(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]

    async def publish() -> PublishResult:
        credentials = {"token": token} if api_key is None else {"api_key": api_key}
        async with Publisher(url, **credentials) as publisher:
            return await publisher.publish(to=to, title=title, idempotency_key=idempotency_key, **fields)

    print(json.dumps(asdict(_run(publish())), ensure_ascii=False))


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--data is not JSON: {exc}") from exc


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (ClientError, aiohttp.ClientError, OSError) as exc:
        print(f"❌ {exc}", file=sys.stderr)
        raise typer.Exit(1) from exc


if __name__ == "__main__":
    app(prog_name="python -m clients.python")
