"""The operator's commands, as they are typed: what they print, where, and their exit codes."""

import re
import sqlite3
import stat
import sys

import pytest

from core.domain.tasks import TaskState
from tests.integration.server.conftest import PASSWORD, failed
from tests.support.http import Api, bearer, log_in
from tests.support.processes import SECRET_KEY, Program, ServerProcess, run_command


@pytest.fixture
def migrated(run):
    assert run("migrate").returncode == 0


def rows(path, statement):
    with sqlite3.connect(path) as connection:
        found = connection.execute(statement).fetchall()
    connection.close()
    return found


@pytest.mark.usefixtures("migrated")
def test_the_demo_is_loaded_once_into_an_empty_database(run, path):
    loaded, again, if_empty = run("demo"), run("demo"), run("demo", "--if-empty")

    assert loaded.returncode == 0
    for word in ("zhangsan", "lisi", "wangwu", "admin", "demo-password"):
        assert word in loaded.stdout
    failed(again, "already has users")
    assert if_empty.returncode == 0
    assert "not loaded" in if_empty.stdout
    assert rows(path, 'SELECT id, username, name FROM "user" ORDER BY number') == [
        ("1", "zhangsan", "张三"),
        ("2", "lisi", "李四"),
        ("3", "wangwu", "王五"),
        ("4", "admin", "管理员"),
    ]
    assert rows(path, "SELECT id FROM project ORDER BY id") == [("1",), ("2",)]
    assert rows(path, "SELECT count(*) FROM project_member") == [(8,)]


@pytest.mark.usefixtures("migrated")
def test_the_demo_is_a_team_at_work(run, path, tmp_path):
    assert run("demo").returncode == 0
    states = dict(rows(path, "SELECT state, count(*) FROM task GROUP BY state"))
    assert states.keys() == {state.value for state in TaskState}
    assert sum(states.values()) == 300

    with ServerProcess(f"sqlite:///{path}", log_path=tmp_path / "server.log") as server:
        summaries = {}
        for username in ("zhangsan", "lisi", "wangwu"):
            api = Api(server.url, bearer(log_in(server.url, username)["access_token"]))
            summaries[username] = api.get("summary").body
            api.close()
    assert (summaries["zhangsan"]["missed"]["total"], summaries["zhangsan"]["unread"]) == (0, 0)
    assert summaries["zhangsan"]["tasks"]["rejected"] == 0
    assert summaries["lisi"]["tasks"]["rejected"] == 2
    assert summaries["lisi"]["missed"]["by_type"] == {"task.rejected": 2}
    assert summaries["wangwu"]["tasks"]["submitted"] == states["submitted"]
    assert summaries["wangwu"]["missed"]["by_type"] == {"task.submitted": 4}


@pytest.mark.usefixtures("migrated")
def test_the_demo_goes_on_working_until_it_is_stopped(path, tmp_path):
    command = [sys.executable, "-m", "server", "demo", "--live", "--speed", "6000"]
    env = {"DATABASE_URL": f"sqlite:///{path}", "SECRET_KEY": SECRET_KEY}
    day = Program(command, log_path=tmp_path / "demo.log", env=env)
    day.start()
    try:
        seen = day.wait_for_log("a minute", timeout=60)
        for _ in range(20):
            seen = day.wait_for_log("task ", after=seen, timeout=30)
    finally:
        day.kill()
    lines = [line for line in day.lines if line.startswith("task ")]
    assert len({line.split()[2] for line in lines}) > 2, lines


@pytest.mark.usefixtures("migrated")
def test_nobody_works_where_the_demo_is_not_loaded(run):
    assert run("user", "add", "li.ming").returncode == 0
    result = run("demo", "--live")
    assert result.returncode == 1
    assert "the demo is not loaded" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("migrated")
def test_a_person_who_was_added_can_log_in_and_a_key_bound_to_them_is_them(run, path, tmp_path):
    added = run("user", "add", "li.ming", "--name", "李明", "--role", "reviewer", "--project", "9:reviewer",
                "--project", "9:annotator", "--project", "7", "--locale", "en")  # fmt: skip
    assert (added.returncode, added.stdout) == (0, "User 1: li.ming\n")
    key = run("key", "add", "bot", "--room", "project:*", "--type", "task.*", "--user", "1")
    assert key.returncode == 0
    assert key.stderr == ""
    assert rows(path, "SELECT count(*) FROM api_key WHERE key_hash LIKE '%nk_%'") == [(0,)]

    with ServerProcess(f"sqlite:///{path}", log_path=tmp_path / "server.log") as server:
        login = log_in(server.url, "li.ming", PASSWORD["NOTIFY_PASSWORD"])
        assert login["user"] == {
            "id": "1",
            "username": "li.ming",
            "name": "李明",
            "roles": ["reviewer"],
            "projects": {"7": [], "9": ["annotator", "reviewer"]},
            "locale": "en",
        }
        api = Api(server.url, {"X-API-Key": key.stdout.strip()})
        assert api.get("me").body["username"] == "li.ming"
        assert api.publish("project:9", type="task.new")
        assert (
            api.post("notifications", {"to": ["global"], "title": "x", "type": "task.new"}).code
            == "forbidden"
        )
        assert api.get("me", headers=bearer(login["access_token"])).status == 200
        api.close()


@pytest.mark.usefixtures("migrated")
def test_what_cannot_be_added_is_said_in_a_line(run, path):
    assert run("user", "add", "taken").returncode == 0

    failed(run("user", "add", "taken"), "This username is taken.")
    failed(run("user", "add", "x", "--role", "nobody"), "roles:", "nobody")
    failed(run("user", "add", "x", "--project", "1:nobody"), "roles:", "nobody")
    failed(run("user", "add", "x", "--project", "a/b"), "projects:", "a/b")
    failed(run("user", "add", "a b"), "username:")
    failed(run("user", "add", "x", "--locale", "x" * 17), "locale:")
    failed(run("user", "add", "x", NOTIFY_PASSWORD="short"), "password:", "8")
    failed(run("key", "add", "bot", "--user", "99"), "There is no such user.")
    assert rows(path, 'SELECT username FROM "user"') == [("taken",)]
    assert rows(path, "SELECT count(*) FROM api_key") == [(0,)]


def test_commands_on_a_database_without_tables_fail_in_a_line(run):
    failed(run("user", "add", "x"))
    failed(run("demo"))


def test_wrong_use_is_exit_code_2_with_a_hint(run):
    for arguments in (("nonsense",), ("user", "add"), ("key", "add"), ("demo", "--nonsense")):
        result = run(*arguments)
        assert result.returncode == 2, arguments
        assert "Usage" in result.stderr


def test_every_fault_of_the_settings_is_told_at_once(run):
    for command in (("serve",), ("migrate",), ("demo",), ("user", "add", "x"), ("key", "add", "x")):
        result = run(*command, PORT="x", ROLES="Admin", DYNO="web.1", SECRET_KEY="", REDIS_URL="redis://:p@x")
        failed(result, "PORT:", "ROLES:", "DATABASE_URL:", "SECRET_KEY:")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "change-me-change-me-change-me-change-me"),
        ("SECRET_KEY", "x" * 64),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", ""),
        ("REDIS_URL", "redis://redis.example:6379"),
        ("DYNO", "web.1"),
    ],
)
def test_what_is_not_safe_to_serve_with_is_said_in_a_line(run, name, value):
    result = run("serve", PORT="0", **{name: value})

    failed(result)
    told = result.stderr.splitlines()
    assert told[0] == "The settings cannot be used."
    assert [line.partition(":")[0] for line in told[1:]] == ["DATABASE_URL" if name == "DYNO" else name]


def test_a_taken_port_is_said_in_a_line(run, tmp_path, path):
    run("migrate")
    with ServerProcess(f"sqlite:///{path}", log_path=tmp_path / "server.log") as server:
        failed(run("serve", PORT=str(server.port)), f"Port {server.port}", "PORT")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "nowhere.invalid"])
def test_a_host_that_cannot_be_had_is_said_in_a_line(run, host):
    run("migrate")

    failed(run("serve", HOST=host, PORT="0"), host, "HOST")


@pytest.mark.usefixtures("migrated")
def test_nobody_else_may_read_the_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE log SET epoch = epoch")
        assert {file.name for file in path.parent.glob("*-*")} >= {f"{path.name}-wal", f"{path.name}-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob(f"{path.name}*")} == {0o600}
    connection.close()


@pytest.mark.parametrize("command", [("migrate",), ("demo",), ("user", "add", "x")])
def test_a_folder_that_cannot_be_made_is_said_in_a_line(run, command):
    failed(run(*command, DATABASE_URL="sqlite:////dev/null/var/log.db"), "/dev/null/var")


NOT_TEXT = "\udcff"


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("user", "add", "x", "--name", NOT_TEXT), "name"),
        (("user", "add", "x", "--name", "x" * 201), "name"),
        (("user", "add", NOT_TEXT), "username"),
        (("user", "add", "x", "--project", NOT_TEXT), "projects"),
        (("key", "add", NOT_TEXT), "name"),
        (("key", "add", ""), "name"),
        (("key", "add", "x" * 201), "name"),
        (("key", "add", "bot", "--room", NOT_TEXT), "rooms"),
        (("key", "add", "bot", "--room", "projekt:1"), "rooms"),
        (("key", "add", "bot", "--room", "role:nobody"), "rooms"),
        (("key", "add", "bot", "--room", "projekt:*"), "rooms"),
        (("key", "add", "bot", "--room", "user:1", "--room", "role:nobody*"), "rooms"),
        (("key", "add", "bot", "--type", NOT_TEXT), "types"),
        (("key", "add", "bot", "--type", ""), "types"),
        (("key", "add", "bot", "--user", NOT_TEXT), "user"),
    ],
)
def test_what_the_shell_hands_over_is_checked_like_what_comes_by_http(run, path, arguments, field):
    failed(run(*arguments), f"{field}:")

    assert rows(path, 'SELECT username FROM "user"') == []
    assert rows(path, "SELECT count(*) FROM api_key") == [(0,)]
    assert rows(path, "SELECT count(*) FROM project") == [(0,)]


@pytest.mark.usefixtures("migrated")
def test_what_the_operator_does_is_in_the_audit_trail_without_a_secret(run, path):
    run("demo")
    run("user", "add", "li.ming", "--project", "9:reviewer", "--project", "1")
    key = run("key", "add", "bot", "--room", "project:*").stdout.strip()
    run("user", "add", "li.ming")  # refused: taken

    (key_id,) = rows(path, "SELECT id FROM api_key")[0]
    assert rows(path, "SELECT action, target FROM audit ORDER BY id") == [
        *(("user.created", f"user:{number}") for number in range(1, 5)),
        ("project.created", "project:1"),
        ("project.created", "project:2"),
        ("user.created", "user:5"),
        ("project.created", "project:9"),
        ("key.created", f"key:{key_id}"),
    ]
    assert rows(path, "SELECT DISTINCT actor_id, sender FROM audit") == [(None, "operator")]
    whole = str(rows(path, "SELECT * FROM audit"))
    for secret in (key, PASSWORD["NOTIFY_PASSWORD"], "demo-password", "argon2"):
        assert secret not in whole


@pytest.mark.usefixtures("migrated")
def test_a_password_that_is_no_text_is_refused(run, path):
    failed(run("user", "add", "x", NOTIFY_PASSWORD=NOT_TEXT * 9), "password:")

    assert rows(path, 'SELECT username FROM "user"') == []


def test_migrating_says_where_it_was_and_again_changes_nothing(run, path):
    said = run("migrate")
    assert (said.returncode, said.stderr) == (0, "")
    assert re.fullmatch(rf"Data model \d{{4}}, new: sqlite:///{path}\n", said.stdout)
    before = rows(path, "SELECT sql FROM sqlite_master ORDER BY name")
    assert run("migrate").stdout == said.stdout.replace("new", "already there")
    assert rows(path, "SELECT sql FROM sqlite_master ORDER BY name") == before


def test_tokens_stay_good_over_a_restart_without_a_secret_in_the_environment(run, path, tmp_path):
    run("migrate", SECRET_KEY="")
    run("demo", SECRET_KEY="")
    kept = path.parent / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    server = ServerProcess(f"sqlite:///{path}", log_path=tmp_path / "server.log", env={"SECRET_KEY": ""})
    with server:
        headers = bearer(log_in(server.url, "admin")["access_token"])
    with server:
        api = Api(server.url, headers)
        assert api.get("me").status == 200
        api.close()


def test_the_module_is_the_command(path):
    """The others run in this process; this is how people run it."""
    result = run_command("migrate", "--nonsense", env={"DATABASE_URL": f"sqlite:///{path}"}, check=False)

    assert result.returncode == 2
    assert "--nonsense" in result.stderr


def test_the_chaos_run_takes_its_own_options_by_the_same_command():
    # It puts itself in the place of its process.
    told = run_command("chaos", "--faults", "nonsense", check=False)
    assert told.returncode == 2
    assert "nonsense" in told.stderr
