"""What admins look through, on both databases, and the trail that no change goes without."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import StatementError

from core.domain import clock
from core.domain.errors import Conflict
from core.domain.identity import AddKey, AddProject, AdoptUser, Audit, ChangeUser, RevokeKey, SetMember
from core.domain.people import Member, Project
from core.domain.principals import Scope
from core.ports.log import Unit
from core.store.directory import SqlDirectory
from tests.support.store import person


@pytest.fixture
def directory(database):
    return SqlDirectory(database)


def line(action: str, target: str, actor: str | None = "4", **details) -> Audit:
    return Audit(
        at=clock.now(), actor_id=actor, sender="user:4", action=action, target=target, details=details
    )


async def commit(log, *changes):
    return (await log.commit(Unit("user:4", changes=changes))).results


async def added(log, username: str, **options) -> str:
    """The id of a new person."""
    return (await log.commit(person(username, **options))).results[0]


async def all_pages(read, limit: int):
    """Everything that a list has, page by page; each but the last is full."""
    found, cursor = [], None
    while True:
        page = await read(cursor, limit)
        assert len(page.items) == limit or page.next_cursor is None
        found.extend(page.items)
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


async def test_people_come_in_the_order_in_which_they_came_and_are_found_by_a_part_of_their_names(
    log, directory
):
    everybody = [
        await added(log, f"u{number}", roles=["annotator"], projects={f"p{number % 2}": ["reviewer"]})
        for number in range(11)
    ]
    await commit(log, ChangeUser(user_id=everybody[2], name="李_明", disabled=True))

    found = await all_pages(lambda cursor, limit: directory.people(None, cursor, limit), 4)

    assert [entry.user.id for entry in found] == everybody
    assert [entry.user for entry in found] == [
        (await directory.person(entry.user.id)).user for entry in found
    ]
    assert found[2].user.disabled
    assert found[2].user.projects == {"p0": frozenset({"reviewer"})}
    for text, numbers in (("u1", [1, 10]), ("U1", [1, 10]), ("_", [2]), ("明", [2]), ("%", [])):
        page = await directory.people(text, None, 50)
        assert [entry.user.id for entry in page.items] == [everybody[number] for number in numbers], text
    assert (await directory.people(None, "9" * 18, 50)).items == []
    assert await directory.person("unknown") is None


async def test_projects_and_members_come_by_id(log, directory):
    for name in ("b", "a", "c"):
        await commit(log, AddProject(id=name, name=f"Project {name}"))
    x, y, z = [await added(log, name, projects={"b": [], "a": ["reviewer"]}) for name in "xyz"]
    await commit(log, SetMember(project_id="b", user_id=y, roles=None))

    projects = await all_pages(directory.projects, 2)
    members = await all_pages(lambda cursor, limit: directory.members("b", cursor, limit), 1)

    assert [(project.id, project.name) for project in projects] == [
        ("a", "Project a"), ("b", "Project b"), ("c", "Project c")
    ]  # fmt: skip
    assert sorted(members, key=lambda member: member.name) == [
        Member(x, "x", "x", frozenset()),
        Member(z, "z", "z", frozenset()),
    ]
    assert [member.user_id for member in members] == sorted((x, z))
    assert isinstance(await directory.project("a"), Project)
    assert await directory.project("d") is None


async def test_keys_come_newest_first_and_tell_nothing_that_opens_anything(log, directory):
    until = datetime(2100, 1, 1, tzinfo=UTC)
    keys = [
        AddKey(
            name=f"k{number}",
            key_hash=f"hash {number}",
            scope=Scope(("user:*",), ("task.*",)),
            user_id=None,
            expires_at=until,
        )
        for number in range(5)
    ]
    ids = [(await commit(log, key))[0] for key in keys]
    await commit(log, RevokeKey(id=ids[1]))

    found = await all_pages(directory.keys, 2)

    assert [record.id for record in found] == ids[::-1]
    assert [record.created_at for record in found] == [key.created_at for key in keys[::-1]]
    assert [record.revoked_at is not None for record in found] == [False, False, False, True, False]
    assert found[0].expires_at == until
    assert "hash" not in repr(found)
    assert await directory.key_record(ids[0]) == found[-1]
    assert await directory.key_record("unknown") is None


async def test_the_trail_is_read_newest_first_by_actor_and_by_target(log, directory):
    for number in range(7):
        await commit(log, line("user.changed", f"user:{number % 2}", str(number % 3), at=number))

    async def read(actor, target):
        found = await all_pages(lambda cursor, limit: directory.audit(actor, target, cursor, limit), 2)
        return [entry.details["at"] for entry in found]

    assert await read(None, None) == [6, 5, 4, 3, 2, 1, 0]
    assert await read("0", None) == [6, 3, 0]
    assert await read(None, "user:1") == [5, 3, 1]
    assert await read("0", "user:1") == [3]
    assert await read("9", None) == []
    assert (await directory.audit(None, None, "9" * 18, 1)).items[0].details == {"at": 6}


async def test_a_line_can_be_about_what_the_change_before_it_made(log, directory):
    new_person = person("x").changes[0]
    key = AddKey(name="k", key_hash="h", scope=Scope((), ()), user_id=None)

    results = await commit(
        log, new_person, line("user.created", "user:"), key, line("key.created", "key:", None)
    )

    page = await directory.audit(None, None, None, 10)
    assert [(entry.target, entry.actor_id) for entry in page.items] == [
        (f"key:{results[2]}", None),
        (f"user:{results[0]}", "4"),
    ]
    assert clock.now() - page.items[0].at < timedelta(minutes=1)


async def test_a_change_that_is_refused_leaves_no_line(log, directory):
    await log.commit(person("x"))

    with pytest.raises(Conflict):
        await commit(log, line("user.created", "user:1"), person("x").changes[0])

    assert (await directory.audit(None, None, None, 10)).items == []


async def test_a_line_that_cannot_be_written_lets_its_change_not_happen(log, directory):
    x = await added(log, "x")

    with pytest.raises(StatementError):
        await commit(
            log, ChangeUser(user_id=x, disabled=True), line("user.disabled", f"user:{x}", wrong=object())
        )

    assert not (await directory.person(x)).user.disabled


async def test_people_of_outside_issuers_are_among_the_others(log, directory):
    claims = AdoptUser(
        user_id="idp~1", issuer="idp", username="outside", name="外人", roles=frozenset({"reviewer"}),
        projects={"9": frozenset()}, claims_at=clock.now(),
    )  # fmt: skip
    x = await added(log, "x")
    await commit(log, claims)

    found = await all_pages(lambda cursor, limit: directory.people(None, cursor, limit), 1)

    assert [(entry.user.id, entry.user.issuer) for entry in found] == [(x, None), ("idp~1", "idp")]
