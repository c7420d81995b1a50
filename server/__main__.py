"""The command line: `python -m server serve | migrate | demo | backup | restore | epoch | user add | key add | chaos`."""

import errno
import os
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvloop

from core.domain.errors import Conflict, DomainError
from core.domain.principals import OPERATOR, Scope
from core.services.demo import DEMO_PASSWORD, DEMO_USERS
from server.app import (
    administration,
    back_up_database,
    migrate_database,
    present_epoch,
    restore_database,
    workday,
)
from server.logs import configure_logs
from server.serve import serve as serve_until_stopped
from server.settings import Settings, SettingsError, read_settings

_ROOT = Path(__file__).parents[1]

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The notification server.",
)
user_commands = typer.Typer(no_args_is_help=True, help="People.")
key_commands = typer.Typer(no_args_is_help=True, help="API keys of programs.")
cli.add_typer(user_commands, name="user")
cli.add_typer(key_commands, name="key")


@cli.command()
def serve() -> None:
    """Serve until stopped. Settings come from the environment; see docs/configuration.md."""
    settings = _settings()
    try:
        _run(serve_until_stopped(settings))
    except OSError as error:
        if isinstance(error, socket.gaierror):
            _fail(f"There is no host {settings.host}. Set HOST.")
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        reason = os.strerror(error.errno)
        _fail(f"Port {settings.port} on {settings.host} cannot be used: {reason}. Set HOST or PORT.")


@cli.command()
def migrate() -> None:
    """Bring the database to the present data model; safe to run again, and from several servers at once."""
    settings = _settings()
    before, present = _run(migrate_database(settings))
    came = "already there" if before == present else f"brought up from {before}" if before else "new"
    typer.echo(f"Data model {present}, {came}: {settings.database_shown}")


@cli.command()
def demo(
    *,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="With people there already, do nothing.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Then play a working day, until it is interrupted.")
    ] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=6_000, help="Actions a minute of --live.")] = 20,
) -> None:
    """Load the demo's people, projects and tasks into an empty database, and exit."""
    settings = _settings()
    try:
        _run(_load_demo(settings))
    except Conflict as error:
        if error.code != "users_exist" or not (if_empty or live):
            _fail(error.message)
        typer.echo("There are people already; the demo was not loaded.")
    else:
        names = ", ".join(f"{username} ({role})" for username, _, role in DEMO_USERS)
        typer.echo(f"Demo loaded. Log in as {names}, password {DEMO_PASSWORD}.")
    if live:
        _run(_play_demo(settings, speed))


async def _load_demo(settings: Settings) -> None:
    async with administration(settings) as operator:
        await operator.load_demo()
    async with workday(settings) as day:
        await day.begin()


async def _play_demo(settings: Settings, speed: float) -> None:
    typer.echo(f"A working day, {speed:g} actions a minute; stop it with Ctrl-C.")
    async with workday(settings) as day:
        await day.play(
            speed,
            lambda task, who: typer.echo(f"task {task.id}: {task.state.value} (user {who.person.id})"),
        )


@cli.command()
def backup(
    path: Path, *, force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False
) -> None:
    """Write the SQLite database to one file, also while servers run."""
    settings = _settings()
    if not settings.uses_sqlite:
        _fail(
            f'PostgreSQL has a tool of its own: pg_dump --format=custom --file={path} "${{DATABASE_URL:?}}".'
        )
    back_up_database(settings, path, overwrite=force)
    typer.echo(f"The database is in {path}.")


@cli.command()
def restore(path: Path) -> None:
    """Make the SQLite database what a backup holds, also while servers run; every client starts anew."""
    settings = _settings()
    if not settings.uses_sqlite:
        _fail(
            "PostgreSQL has a tool of its own: stop the servers, let DATABASE_URL name a new, empty database,"
            f' pg_restore --single-transaction --dbname="${{DATABASE_URL:?}}" {path},'
            " then python -m server epoch --new."
        )
    epoch = _run(restore_database(settings, path))
    typer.echo(f"The database is what {path} holds. Epoch {epoch} has begun.")


@cli.command()
def epoch(
    *, new: Annotated[bool, typer.Option("--new", help="Begin a new one: every client starts anew.")] = False
) -> None:
    """Print the id of this life of the log; a new one is part of every restore of PostgreSQL."""
    settings = _settings()
    typer.echo(_run(present_epoch(settings, new=new)))
    if new:
        typer.echo(f"A new epoch has begun in {settings.database_shown}", err=True)


@cli.command(
    add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def chaos(context: typer.Context) -> None:
    """Start servers of its own, inject faults, and check every promise; --help says more, docs/chaos.md all."""
    if not (_ROOT / "tests" / "chaos").is_dir():
        _fail(f"The chaos run is in the tests, and there are none in {_ROOT}: run it from a checkout.")
    os.chdir(_ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "tests.chaos", *context.args])  # noqa: S606 - it is us


@user_commands.command("add")
def add_user(
    username: str,
    name: Annotated[str, typer.Option(help="The name that others see.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    project: Annotated[list[str] | None, typer.Option(help="id or id:role; may be repeated.")] = None,
    locale: Annotated[str, typer.Option()] = "zh-CN",
) -> None:
    """Add a person. The password is asked for, or taken from NOTIFY_PASSWORD."""
    password = os.environ.get("NOTIFY_PASSWORD") or typer.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    projects: dict[str, frozenset[str]] = {}
    for entry in project or ():
        project_id, _, in_project = entry.partition(":")
        projects[project_id] = projects.get(project_id, frozenset()) | ({in_project} if in_project else set())

    async def add(settings: Settings) -> str:
        async with administration(settings) as operator:
            person = await operator.people.add(
                OPERATOR,
                username=username,
                password=password,
                name=name or username,
                roles=frozenset(role or ()),
                projects=projects,
                locale=locale,
                create_projects=True,
            )
            return person.user.id

    typer.echo(f"User {_run(add(_settings()))}: {username}")


@key_commands.command("add")
def add_key(
    name: str,
    room: Annotated[
        list[str] | None, typer.Option(help="A room, or a prefix with *; may be repeated.")
    ] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="A type, or a prefix with *.")] = None,
    user: Annotated[
        str | None, typer.Option(help="The id of a person: the key may then also listen.")
    ] = None,
) -> None:
    """Add an API key and print it: it is shown this once. Without --room it may publish nothing."""
    scope = Scope(rooms=tuple(room or ()), types=tuple(type_ or ("*",)))

    async def add(settings: Settings) -> str:
        async with administration(settings) as operator:
            _, key = await operator.keys.add(OPERATOR, name=name, scope=scope, user_id=user)
            return key

    typer.echo(_run(add(_settings())))


def _settings() -> Settings:
    try:
        settings = read_settings()
    except SettingsError as error:
        _fail(f"The settings cannot be used.\n{error}")
    configure_logs(form=settings.log_format, level=settings.log_level)
    return settings


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(work)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def main() -> None:
    try:
        cli()
    except DomainError as error:
        details = "".join(f"\n  {field}: {' '.join(texts)}" for field, texts in (error.fields or {}).items())
        typer.echo(f"{error.message}{details}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
