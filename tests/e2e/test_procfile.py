import http.client
import json
import sys

import pytest

from tests.support.processes import SECRET_KEY, Program, ServerProcess, run_command

# `-e /dev/null`: a .env of the person who runs the tests stays outside.
HONCHO = (sys.executable, "-m", "honcho", "-e", "/dev/null", "start")


def log_in(port: int) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = json.dumps({"username": "zhangsan", "password": "demo-password"})
        connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_platform_that_reads_the_procfile_releases_and_serves(postgres_cluster, tmp_path):
    database_url = postgres_cluster.create_database().replace("postgresql://", "postgres://")
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY}

    with Program((*HONCHO, "release"), log_path=tmp_path / "release.log", env=settings) as release:
        release.wait_for_log("release.1 stopped (rc=0)", timeout=60)
    run_command("demo", env=settings)

    with ServerProcess(database_url, log_path=tmp_path / "web.log", command=(*HONCHO, "web")) as web:
        status, answer = log_in(web.port)

    assert status == 200
    assert answer["user"]["username"] == "zhangsan"
    with pytest.raises(ConnectionRefusedError):
        log_in(web.port)
