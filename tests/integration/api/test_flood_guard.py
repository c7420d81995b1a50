"""Whoever sends too much is told so, alone, and when to go on."""

import shutil

import pytest

from tests.support.http import Api, bearer, log_in
from tests.support.processes import ServerProcess

BURST = 10
RATE = 0.001  # nothing comes back while a test runs, however slow the machine


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    env = {"PUBLISH_BURST": str(BURST), "PUBLISH_RATE": str(RATE)}
    log_path = tmp_path_factory.mktemp("server") / "server.log"
    with ServerProcess(database, log_path=log_path, env=env) as running:
        yield running


def entry(number: int, **more) -> dict:
    return {"to": ["user:1"], "title": f"number {number}", **more}


def refusals_counted(admin) -> float:
    lines = admin.get("/metrics").content.decode().splitlines()
    return float(next(line for line in lines if line.startswith("notify_rate_limited_total ")).split()[1])


def test_beyond_the_budget_it_is_429_with_an_honest_time_to_come_back(admin, make_key):
    program, other = make_key("user:*"), make_key("user:*")
    before = refusals_counted(admin)
    for number in range(BURST):
        program.publish("user:1", title=f"number {number}")

    refused = program.post("notifications", entry(BURST))

    assert (refused.status, refused.code) == (429, "rate_limited")
    assert 0.9 / RATE <= int(refused.headers["Retry-After"]) <= 1 / RATE + 1
    assert refusals_counted(admin) == before + 1
    other.publish("user:1")


def test_a_batch_is_taken_as_far_as_the_budget_goes_and_the_rest_is_refused_one_by_one(make_key):
    program = make_key("user:1")
    allowed = [entry(number) for number in range(BURST + 3)]
    not_allowed = [entry(0, to=["user:2"]), entry(0, title="")]

    results = program.post("notifications/batch", {"notifications": not_allowed + allowed}).body["results"]

    assert [result["status"] for result in results] == [403, 422, *[201] * BURST, *[429] * 3]
    for result in results[-3:]:
        assert result["error"]["code"] == "rate_limited"
        assert 0.9 / RATE <= result["error"]["retry_after_s"] <= 1 / RATE + 1


def test_a_repeated_key_costs_as_much_as_a_new_one(make_key):
    program = make_key("user:*")
    for _ in range(BURST):
        answer = program.post("notifications", entry(0), headers={"Idempotency-Key": "again"})
        assert answer.status in (200, 201)

    assert program.post("notifications", entry(0), headers={"Idempotency-Key": "again"}).status == 429


def test_a_flood_can_be_taken_back_but_not_changed_without_end(make_key):
    program = make_key("user:*")
    ids = [program.publish("user:1") for _ in range(BURST)]

    assert program.patch(f"notifications/{ids[0]}", {"title": "other"}).code == "rate_limited"
    assert [program.delete(f"notifications/{id_}").status for id_ in ids] == [204] * BURST


def test_where_it_is_switched_off_nobody_is_refused(sqlite_demo, tmp_path):
    url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
    env = {"RATE_LIMIT": "off", "PUBLISH_BURST": "1", "PUBLISH_RATE": "0.001"}
    with ServerProcess(url, log_path=tmp_path / "server.log", env=env) as server:
        admin = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
        batch = {"notifications": [entry(number) for number in range(20)]}

        results = admin.post("notifications/batch", batch).body["results"]
        admin.close()

    assert [result["status"] for result in results] == [201] * 20
