"""What an admin does by one server holds on another over the same database within two seconds."""

import pytest

from tests.support.http import Api, bearer, log_in
from tests.support.processes import ServerProcess
from tests.support.waiting import ask_until

WITHIN_S = 2.0


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture(scope="module")
def second(database, tmp_path_factory):
    with ServerProcess(database, log_path=tmp_path_factory.mktemp("second") / "server.log") as running:
        yield running


@pytest.fixture
def there(second):
    api = Api(second.url)
    yield api
    api.close()


def refused_after(api, headers, path="me"):
    """The code of the first refusal. Asking is what keeps a token remembered."""
    return ask_until(
        lambda: api.get(path, headers=headers), lambda answer: answer.status != 200, WITHIN_S
    ).code


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"disabled": True}, "me", "token_revoked"),
        ({"password": "another password"}, "me", "token_revoked"),
        ({"roles": []}, "users", "forbidden"),
    ],
)
def test_what_becomes_of_a_person_here_is_known_there(admin, nobody, there, server, change, path, code):
    name = f"on.two.servers.{'.'.join(change)}"
    person = {"username": name, "password": "long enough", "roles": ["admin"]}
    user_id = admin.post("users", person).body["id"]
    headers = bearer(log_in(server.url, name, "long enough")["access_token"])
    for api in (nobody, there):
        assert api.get(path, headers=headers).status == 200

    assert admin.patch(f"users/{user_id}", change).status == 200

    assert refused_after(there, headers, path) == code
    assert nobody.get(path, headers=headers).code == code


def test_a_revoked_key_and_an_ended_login_are_over_there_too(admin, there, server):
    key = admin.post("keys", {"name": "two", "rooms": [], "user_id": "1"}).body
    program = {"X-API-Key": key["key"]}
    login = bearer(log_in(server.url, "lisi")["access_token"])
    for headers in (program, login):
        assert there.get("me", headers=headers).status == 200

    assert admin.delete(f"keys/{key['id']}").status == 204
    assert admin.post("auth/logout", {"all": True}, headers=login).status == 204

    assert refused_after(there, program) == "token_revoked"
    assert refused_after(there, login) == "token_revoked"
