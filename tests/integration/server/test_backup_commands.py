"""`backup`, `restore` and `epoch` as an operator types them, also while a server works on the database."""

import asyncio
import shutil
import sqlite3
import subprocess
from contextlib import closing
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.store import tables
from tests.integration.server.conftest import failed
from tests.support.http import Api, bearer, log_in
from tests.support.processes import ServerProcess, environment


@pytest.fixture
def demo(path, sqlite_demo):
    path.parent.mkdir()
    return f"sqlite:///{shutil.copy(sqlite_demo, path)}"


def test_a_running_server_goes_on_with_what_was_restored(run, demo, tmp_path):
    backup = tmp_path / "log.bak"
    with ServerProcess(demo, log_path=tmp_path / "server.log") as server:
        api = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
        kept = [api.publish("user:4", "project:1") for _ in range(3)]
        first = api.get("inbox").body
        assert run("backup", str(backup)).returncode == 0
        lost = [api.publish("user:4", "user:77") for _ in range(2)]

        restored = run("restore", str(backup))

        assert restored.returncode == 0, restored
        published = api.post("notifications", {"to": ["user:4", "user:77", "project:1"], "title": "after"})
        assert published.status == 201, published
        assert published.body["postings"] == {"user:4": 4, "user:77": 1, "project:1": 4}
        second = api.get("inbox").body
        assert [item["id"] for item in second["items"]] == [published.body["id"], *reversed(kept)]
        assert not set(lost) & {item["id"] for item in second["items"]}
        assert second["epoch"] != first["epoch"]
        assert second["epoch"] in restored.stdout
        assert run("epoch").stdout == f"{second['epoch']}\n"
        api.close()
        assert server.running


@pytest.mark.usefixtures("demo")
def test_a_backup_overwrites_nothing_unless_told(run, tmp_path):
    backup = tmp_path / "log.bak"
    assert run("backup", str(backup)).returncode == 0

    failed(run("backup", str(backup)), str(backup), "--force")
    assert run("backup", str(backup), "--force").returncode == 0
    failed(run("backup", str(tmp_path / "nowhere" / "log.bak")), "No such file")


@pytest.mark.usefixtures("demo")
def test_what_cannot_be_restored_is_said_in_a_line(run, tmp_path):
    (tmp_path / "junk").write_text("no database at all" * 100)
    epoch = run("epoch").stdout

    for name, told in (("junk", "no sound database"), ("nothing", "There is no database")):
        result = run("restore", str(tmp_path / name))
        failed(result, name, told)
        assert result.stderr.count("\n") == 1
    assert run("epoch").stdout == epoch


def test_there_is_nothing_to_back_up_before_there_is_a_database(run, path, tmp_path):
    failed(run("backup", str(tmp_path / "log.bak")), "There is no database")
    assert not path.exists()
    assert not (tmp_path / "log.bak").exists()


def test_an_epoch_is_shown_and_begun_on_both_databases(run, demo_url):
    def epoch():
        result = run("epoch", DATABASE_URL=demo_url)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    first = epoch()
    assert epoch() == first
    begun = run("epoch", "--new", DATABASE_URL=demo_url)
    assert begun.stdout not in (first, "\n")
    assert begun.stderr == f"A new epoch has begun in {demo_url}\n"
    assert epoch() == begun.stdout


async def dump(url):
    """Every row of every table."""
    connection = await asyncpg.connect(url)
    try:
        return {
            name: sorted(map(repr, await connection.fetch(f'SELECT * FROM "{name}"')))  # noqa: S608
            for name in tables.metadata.tables
        }
    finally:
        await connection.close()


def test_postgresql_is_backed_up_and_restored_by_the_commands_that_are_told(
    run, postgres_cluster, postgres_demo, tmp_path
):
    url = postgres_cluster.create_database(postgres_demo)
    backup = tmp_path / "log.dump"
    told = run("backup", str(backup), DATABASE_URL=url)
    failed(told, "pg_dump")
    assert told.stderr.count("\n") == 1
    told_restore = run("restore", str(backup), DATABASE_URL=url)
    failed(told_restore, "pg_restore", "epoch --new")
    assert told_restore.stderr.count("\n") == 1
    pg_dump = told.stderr[told.stderr.index("pg_dump") :].strip().removesuffix(".")
    pg_restore = told_restore.stderr[told_restore.stderr.index("pg_restore") :].partition(", then")[0]

    def shell(command, url):
        subprocess.run(command, shell=True, check=True, env=environment({"DATABASE_URL": url}), timeout=60)  # noqa: S602

    with ServerProcess(url, log_path=tmp_path / "server.log") as server:
        api = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
        api.publish("user:4", "project:1", key="k")
        shell(pg_dump, url)
        kept = asyncio.run(dump(url))
        api.publish("user:4", "user:77")
        api.close()
    url = postgres_cluster.create_database()
    shell(pg_restore, url)
    assert asyncio.run(dump(url)) == kept

    begun = run("epoch", "--new", DATABASE_URL=url).stdout.strip()

    restored = asyncio.run(dump(url))
    assert restored.pop("log") != kept.pop("log")
    audited, before = restored.pop("audit"), kept.pop("audit")
    (line,) = set(audited).difference(before)
    assert len(audited) == len(before) + 1
    assert "log.epoch_begun" in line
    assert restored == kept
    with ServerProcess(url, log_path=tmp_path / "server.log") as server:
        api = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
        api.publish("user:4")
        assert api.get("inbox").body["epoch"] == begun
        api.close()


def set_revision(url, revision):
    statement = f"UPDATE alembic_version SET version_num = '{revision}'"  # noqa: S608

    async def on_postgres():
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    if urlsplit(url).scheme == "postgresql":
        asyncio.run(on_postgres())
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("command", [("serve",), ("demo",), ("epoch",), ("user", "add", "x")])
def test_a_database_without_tables_is_to_be_migrated_first(run, database_url, command):
    result = run(*command, DATABASE_URL=database_url, PORT="0")

    failed(result, "no tables", "python -m server migrate")
    assert result.stderr.count("\n") == 1


def test_a_database_of_another_program_is_left_alone(run, demo_url):
    for revision, told in (("9999", "newer than this program"), ("0001", "run `python -m server migrate`")):
        set_revision(demo_url, revision)
        for command in (("serve",), ("epoch", "--new")):
            result = run(*command, DATABASE_URL=demo_url, PORT="0")
            failed(result, told)
            assert result.stderr.count("\n") == 1


async def execute(url, statement):
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("place", ["database", "url"])
def test_postgresql_that_answers_before_it_is_on_disk_is_not_served_from(
    run, postgres_cluster, postgres_demo, place
):
    url = postgres_cluster.create_database(postgres_demo)
    if place == "database":
        name = url.rpartition("/")[2]
        asyncio.run(execute(url, f"ALTER DATABASE {name} SET synchronous_commit = off"))
    else:
        url += "?options=-c%20synchronous_commit%3Doff"

    result = run("serve", DATABASE_URL=url, PORT="0")

    failed(result, "synchronous_commit")
    assert result.stderr.count("\n") == 1


def test_postgresql_may_be_told_by_the_url_to_be_durable(run, postgres_cluster, postgres_demo, tmp_path):
    url = postgres_cluster.create_database(postgres_demo)
    name = url.rpartition("/")[2]
    asyncio.run(execute(url, f"ALTER DATABASE {name} SET synchronous_commit = off"))

    with ServerProcess(
        f"{url}?options=-c%20synchronous_commit%3Don&application_name=notify",
        log_path=tmp_path / "server.log",
    ) as server:
        api = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
        assert api.publish("user:4")
        api.close()
    failed(run("serve", DATABASE_URL=url, PORT="0"), "synchronous_commit")
