import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.settings import SettingsError, read_settings

SECRET = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def read(monkeypatch):
    def read(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return read_settings()

    return read


@pytest.fixture
def faults(read):
    def faults(**variables):
        with pytest.raises(SettingsError) as error:
            read(**variables)
        return str(error.value).splitlines()

    return faults


def test_without_any_it_runs_alone_on_this_machine(read):
    settings = read()

    assert (settings.host, settings.port, settings.server_name) == ("127.0.0.1", 8000, "8000")
    assert settings.trusted_proxies == 0
    assert settings.database_url == "sqlite:///var/notify.db"
    assert settings.uses_sqlite
    assert settings.redis_url is None
    assert settings.metrics_token is None
    assert settings.roles == {"annotator", "reviewer", "admin"}
    assert settings.cors_origins == ()
    assert settings.allowed_hosts == ()
    assert (settings.ping_interval_s, settings.ping_timeout_s, settings.heartbeat_s) == (30, 20, 30)
    assert (settings.retry_first_ms, settings.retry_max_ms, settings.retry_tries) == (3_000, 30_000, 10)
    assert (settings.retention_days, settings.retention_check_s) == (90, 60)
    assert (settings.rate_limit, settings.publish_burst, settings.publish_rate) == (True, 20_000, 200)


def test_the_web_client_is_the_one_that_is_built_here_or_in_another_folder(read, tmp_path):
    assert read().web_root.parts[-3:] == ("clients", "web", "dist")
    (tmp_path / "index.html").touch()
    assert read(WEB_ROOT=str(tmp_path)).web_root == tmp_path


@pytest.mark.parametrize("folder", ["", "missing", "empty"])
def test_a_web_root_without_a_page_is_a_fault(faults, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert faults(WEB_ROOT=folder) == ["WEB_ROOT: A folder with index.html in it."]


def test_a_process_is_named_after_its_port_unless_it_is_told(read):
    assert read(PORT="8003").server_name == "8003"
    assert read(SERVER_NAME="a-1").server_name == "a-1"


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "x" * 33, "a/b"])
def test_a_name_has_to_fit_into_an_address(faults, name):
    assert [fault.partition(":")[0] for fault in faults(SERVER_NAME=name)] == ["SERVER_NAME"]


@pytest.mark.parametrize("number", ["-1", "true", "17", ""])
def test_trusted_proxies_are_a_small_number(faults, number):
    assert [fault.partition(":")[0] for fault in faults(TRUST_PROXY=number)] == ["TRUST_PROXY"]


def test_the_secret_is_made_once_under_the_databases_folder_for_the_owner_only(read, tmp_path):
    url = f"sqlite:///{tmp_path}/data/notify.db"

    first, second = read(DATABASE_URL=url), read(DATABASE_URL=url)

    path = tmp_path / "data" / "secret_key"
    assert first.secret_key == second.secret_key == path.read_text()
    assert len(first.secret_key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/data/notify.db")

    with ThreadPoolExecutor(16) as pool:
        secrets = {future.result().secret_key for future in [pool.submit(read_settings) for _ in range(64)]}

    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_kept_secret_that_is_none_is_refused(faults, tmp_path, content):
    (tmp_path / "secret_key").write_bytes(content)

    assert faults(DATABASE_URL=f"sqlite:///{tmp_path}/x.db")[0].startswith("SECRET_KEY:")


def test_a_folder_that_cannot_be_made_is_a_fault(faults):
    assert faults(DATABASE_URL="sqlite:////dev/null/x.db")[0].startswith("SECRET_KEY:")


def test_a_given_secret_is_taken_and_kept_nowhere(read, tmp_path):
    assert read(SECRET_KEY=SECRET).secret_key == SECRET
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 64, "ab" * 32, "12345" * 10, "change-me" * 8, "CHANGEME-please-0123456789-abcdefgh", "please change this secret before you start",
        "your-secret-key-of-at-least-32-bytes", "a-placeholder-of-a-secret-0123456789", "openssl rand -base64 48 prints one",
    ],
)  # fmt: skip
def test_a_secret_that_everybody_knows_is_none(faults, secret):
    told = faults(SECRET_KEY=secret)

    assert len(told) == 1
    assert told[0].startswith("SECRET_KEY: ")
    assert "placeholder" in told[0]
    assert secret not in told[0]


@pytest.mark.parametrize("make", [lambda: secrets.token_hex(16), lambda: secrets.token_urlsafe(48)])
def test_secrets_as_programs_make_them_are_taken(read, make):
    for made in [make() for _ in range(100)]:
        assert read(SECRET_KEY=made).secret_key == made


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db/notify",
        "postgres://u:p@db:5432/notify?sslmode=require",
        "postgresql:///notify?host=/run/postgresql&application_name=notify&options=-c%20search_path%3Dnotify",
        "sqlite:///relative.db",
        "sqlite:////absolute.db",
    ],
)
def test_database_urls_are_taken_as_platforms_write_them(read, url):
    settings = read(DATABASE_URL=url, SECRET_KEY=SECRET)

    assert settings.database_url == url
    assert settings.uses_sqlite == url.startswith("sqlite")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", ""), ("PORT", "x"), ("PORT", "65536"), ("PORT", "-1"), ("PORT", ""),
        ("DATABASE_URL", "mysql://x"), ("DATABASE_URL", "sqlite://"), ("DATABASE_URL", "sqlite:///"), ("DATABASE_URL", "notify.db"),
        ("DATABASE_URL", "postgresql://u:p@db/x?sslmode=require&channel_binding=require"), ("DATABASE_URL", "postgres://db/x?a"),
        ("DATABASE_URL", "postgresql://[x/y"), ("DATABASE_URL", "postgresql://u:p@db:99999/x"), ("DATABASE_URL", "postgres://db:x/y"),
        ("REDIS_URL", "http://x"), ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "redis://[x"), ("REDIS_URL", "redis://:p@r:99999"),
        ("SECRET_KEY", "x" * 31), ("SECRET_KEY", "\udcff" * 40), ("METRICS_TOKEN", "short"), ("METRICS_TOKEN", "\udcff" * 40),
        ("CORS_ORIGINS", "*"), ("CORS_ORIGINS", "https://*.example"), ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "a.example"), ("CORS_ORIGINS", "https://a.example,*"), ("CORS_ORIGINS", "null"), ("CORS_ORIGINS", ""), ("CORS_ORIGINS", "https://[x"), ("CORS_ORIGINS", "https://a:99999"),
        ("ALLOWED_HOSTS", "*"), ("ALLOWED_HOSTS", ""), ("ALLOWED_HOSTS", "a.example,*"), ("ALLOWED_HOSTS", "*.example"), ("ALLOWED_HOSTS", "."),
        ("ALLOWED_HOSTS", "a.example:8000"), ("ALLOWED_HOSTS", "https://a.example"), ("ALLOWED_HOSTS", "a.example,,b.example"),
        ("ROLES", "annotator"), ("ROLES", "admin,Reviewer"), ("ROLES", "admin,a b"), ("ROLES", ""),
        ("LOG_FORMAT", "xml"), ("LOG_LEVEL", "LOUD"), ("TRANSPORTS", "carrier-pigeon"), ("TRANSPORTS", ""), ("MAX_ATTACHMENT_BYTES", "-1"), ("MAX_ATTACHMENT_BYTES", "9999999"), ("MAX_SESSIONS_PER_USER", "0"),
        ("PING_INTERVAL_S", "0"), ("PING_TIMEOUT_S", "-1"), ("HEARTBEAT_S", "x"), ("RETRY_FIRST_MS", "0"),
        ("RETRY_MAX_MS", "1.5"), ("RETRY_TRIES", "0"), ("PING_INTERVAL_S", "nan"), ("HEARTBEAT_S", "inf"),
        ("RETENTION_DAYS", "0"), ("RETENTION_DAYS", "-1"), ("RETENTION_DAYS", "36501"), ("RETENTION_DAYS", "nan"),
        ("RETENTION_CHECK_S", "0"),
        ("RATE_LIMIT", "maybe"), ("RATE_LIMIT", ""), ("PUBLISH_BURST", "0"), ("PUBLISH_BURST", "1.5"), ("PUBLISH_RATE", "0"), ("PUBLISH_RATE", "inf"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_by_the_name_of_its_setting(faults, name, value):
    told = faults(**{"SECRET_KEY": SECRET, name: value})

    assert len(told) == 1
    assert told[0].startswith(f"{name}: ")


def test_all_faults_are_told_in_one_message(faults):
    told = faults(PORT="x", ROLES="", LOG_LEVEL="LOUD", DYNO="web.1", REDIS_URL="redis://:p@r", SECRET_KEY="")

    names = {line.partition(":")[0] for line in told}
    assert names == {"PORT", "ROLES", "LOG_LEVEL", "DATABASE_URL", "SECRET_KEY"}


@pytest.mark.parametrize(
    "url", ["redis://r", "redis://r.example:6379/0", "rediss://10.0.0.1", "redis://user@r", "redis://:@r"]
)
def test_redis_elsewhere_needs_a_password(faults, url):
    assert faults(SECRET_KEY=SECRET, REDIS_URL=url)[0].startswith("REDIS_URL: ")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0", "redis://127.0.0.1", "redis://127.1.2.3:6379", "redis://[::1]:6379",
        "redis://:p@r", "rediss://user:p@r.example:6380/1", "redis://r?password=p",
    ],
)  # fmt: skip
def test_redis_here_or_with_a_password_is_taken(read, url):
    assert read(SECRET_KEY=SECRET, REDIS_URL=url).redis_url == url


def test_faults_never_repeat_a_value(faults):
    told = faults(
        DATABASE_URL="mysql://user:hunter2@db/x", SECRET_KEY="hunter2", REDIS_URL="http://:hunter2@r"
    )

    assert "hunter2" not in "\n".join(told)


def test_a_dyno_listens_to_its_router_and_needs_a_database_that_stays(read, faults):
    assert faults(DYNO="web.1")[0].startswith("DATABASE_URL:")

    settings = read(
        DATABASE_URL="postgres://u:p@db/x?sslmode=require", SECRET_KEY=SECRET, PORT="5000", DYNO="web.1"
    )

    assert (settings.host, settings.port) == ("0.0.0.0", 5000)  # noqa: S104


@pytest.mark.parametrize("variables", [{"DATABASE_URL": "postgresql://db/x"}, {"REDIS_URL": "redis://:p@r"}])
def test_servers_that_share_something_share_a_secret(faults, variables):
    assert faults(**variables)[0].startswith("SECRET_KEY:")


@pytest.mark.parametrize(("text", "limited"), [("on", True), ("off", False)])
def test_the_flood_guard_is_on_or_off(read, text, limited):
    assert read(RATE_LIMIT=text).rate_limit is limited


def test_lists_are_joined_by_commas(read):
    settings = read(
        SECRET_KEY=SECRET, ROLES="admin,lead", CORS_ORIGINS="https://a.example,http://localhost:5173"
    )

    assert settings.roles == {"admin", "lead"}
    assert settings.allowed_hosts == ("a.example", "localhost")
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")


def test_the_hosts_of_origins_and_of_the_platform_are_allowed_beside_the_given_ones(read):
    settings = read(
        SECRET_KEY=SECRET,
        ALLOWED_HOSTS="notify.example,.internal.example",
        CORS_ORIGINS="https://App.Example:8443,http://[::1]:5173",
        HEROKU_APP_DEFAULT_DOMAIN_NAME="notify-1234.herokuapp.com",
    )

    assert settings.allowed_hosts == (
        "notify.example",
        ".internal.example",
        "app.example",
        "::1",
        "notify-1234.herokuapp.com",
    )
    assert settings.cors_origins == ("https://app.example:8443", "http://[::1]:5173")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://notify:secret@db:5432/n?options=x&sslmode=require", "postgres://notify@db:5432/n"),
        ("postgresql://db/n", "postgresql://db/n"),
        ("sqlite:////srv/log.db", "sqlite:////srv/log.db"),
        ("sqlite:///var/log.db", "sqlite:///{here}/var/log.db"),
    ],
)
def test_the_database_is_shown_by_its_place_and_without_its_password(read, tmp_path, url, shown):
    assert read(SECRET_KEY=SECRET, DATABASE_URL=url).database_shown == shown.format(here=tmp_path)
