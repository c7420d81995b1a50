"""The document says what the server does, and the server does what it says."""

import re

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from api.application import ROUTES, build_application
from api.hosts import AllowedHosts
from api.openapi import build_document
from api.routes import PREFIX
from tests.support.http import bearer, log_in

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    (method, path)
    for path, operations in build_document(ROUTES)["paths"].items()
    for method in operations
    if path != f"{PREFIX}/auth/logout"  # once is enough: it ends the token that the others need
]
# A login that is well-formed costs a password hash.
EXAMPLES = {f"{PREFIX}/auth/login": 3}
REFUSED_ONE_BY_ONE = {f"{PREFIX}/notifications/batch", f"{PREFIX}/tasks/import"}
TAKES_NOTHING = {f"{PREFIX}/{name}" for name in ("me", "inbox/counts", "summary")}


@pytest.fixture(scope="module")
def served(nobody):
    answer = nobody.get("openapi.json")
    assert answer.status == 200
    return answer.body


@pytest.fixture(scope="module")
def document(served, server):
    document = schemathesis.openapi.from_dict(served)
    document.config.update(base_url=server.url)
    return document


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def credentials(server):
    return {name: bearer(log_in(server.url, name)["access_token"]) for name in ("admin", "zhangsan")}


@pytest.fixture
def notification(admin):
    """The id of a notification of the admin that has everything, in both inboxes."""
    return admin.publish(
        "user:1",
        "user:4",
        thread="task:1",
        link="/tasks/1",
        data={"a": [1, {"b": None}]},
        content="x",
        urgent=True,
        level="warning",
        expires_at="2100-01-01T00:00:00Z",
    )


@pytest.fixture(scope="module")
def someone(admin):
    """A person in a project, whom anything may happen to."""
    person = {"username": "someone", "password": "long enough", "projects": {"1": ["reviewer"]}}
    return admin.post("users", person).body["id"]


@pytest.fixture(scope="module")
def task(admin):
    """A task that zhangsan has."""
    return admin.post("tasks", {"project": "1", "title": "x", "link": "/x", "assignee": "1"}).body["id"]


@pytest.fixture
def existing(notification, someone, task):
    """What there is, by the name of its place in a path."""
    return {"id": notification, "user": someone, "project": "1", "task": task}


def check_cases(operation, mode, checks, call, *, examples, path_parameters=None):
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=path_parameters))
    def check(case):
        call(case, checks)

    check()


def test_the_document_is_openapi_3_1(served):
    assert served["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(served).validate()


def test_a_document_that_is_none_is_found_out(served):
    broken = {**served, "paths": {"/x": {"get": {"parameters": [{"in": "nowhere"}], "responses": {}}}}}

    with pytest.raises(Exception, match="required property"):
        schemathesis.openapi.from_dict(broken).validate()


def test_the_document_lists_the_routes_that_the_router_has(served):
    routes = {
        (route.method, route.resource.canonical)
        for route in build_application(services=None, hosts=AllowedHosts(())).router.routes()
        if route.resource.canonical != f"{PREFIX}/openapi.json"
    }
    documented = {(method.upper(), path) for path, found in served["paths"].items() for method in found}

    assert documented == routes
    assert len(documented) == len(ROUTES)


def test_every_name_in_the_document_is_there_once_and_every_pattern_is_whole(served):
    operations = [operation for path in served["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)

    patterns = re.findall(r"'pattern': '([^']*)'", str(served))
    assert patterns
    for pattern in patterns:  # ECMA-262 has no \Z, and an unanchored pattern is found anywhere
        assert pattern.startswith("^"), pattern
        assert pattern.endswith("$"), pattern


def test_parameters_are_never_null(served):
    for operations in served["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                assert "null" not in str(parameter["schema"]), parameter
                assert "None" not in str(parameter["schema"]), parameter


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_document_allows_is_answered_as_documented(
    document, session, credentials, existing, method, path
):
    """What a path names is there, where it can be: an answer with everything in it is held against the document too."""

    def call(case, checks):
        for caller in ("zhangsan", "admin"):  # who may do less comes before what is done
            case.call_and_validate(headers=credentials[caller], checks=checks, session=session)

    check_cases(
        document[path][method],
        GenerationMode.POSITIVE,
        CHECKS,
        call,
        examples=EXAMPLES.get(path, 6),
        path_parameters={name: id_ for name, id_ in existing.items() if f"{{{name}}}" in path} or None,
    )


@pytest.mark.parametrize(("method", "path"), [o for o in OPERATIONS if o[1] not in TAKES_NOTHING])
def test_what_the_document_forbids_is_refused_as_documented(document, session, credentials, method, path):
    def call(case, checks):
        case.call_and_validate(headers=credentials["admin"], checks=checks, session=session)

    checks = CHECKS if path in REFUSED_ONE_BY_ONE else [*CHECKS, negative_data_rejection]
    check_cases(document[path][method], GenerationMode.NEGATIVE, checks, call, examples=12)


def test_logging_out_is_answered_as_documented(document, server, session):
    headers = bearer(log_in(server.url, "wangwu")["access_token"])
    operation = document[f"{PREFIX}/auth/logout"]["post"]

    for body in ({}, {"all": True}):  # the second time with a token that was revoked
        operation.Case(body=body).call_and_validate(headers=headers, checks=CHECKS, session=session)
