import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import rooms

ROLES = ("annotator", "reviewer", "admin")

ids = st.from_regex(rooms.ID_PATTERN, fullmatch=True)
roles = st.sampled_from(ROLES)
addresses = st.one_of(
    st.tuples(st.just("user"), ids),
    st.tuples(st.just("role"), roles),
    st.tuples(st.just("project"), ids),
    st.tuples(st.just("project"), ids, roles),
    st.just(("global",)),
)


def spell(address: tuple[str, ...]) -> str:
    if address[0] == "project":
        return rooms.project_room(*address[1:])
    return {"user": rooms.user_room, "role": rooms.role_room, "global": lambda: rooms.GLOBAL}[address[0]](
        *address[1:]
    )


@given(addresses)
def test_every_address_is_spelled_as_a_room_whose_project_is_read_back(address):
    name = spell(address)

    assert rooms.is_room(name, ROLES)
    assert rooms.project_of(name) == (address[1] if address[0] == "project" else None)


@given(addresses, addresses)
def test_two_addresses_never_share_a_name(one, other):
    assert (spell(one) == spell(other)) == (one == other)


@given(st.text(alphabet="aA1:._-@~|+ \n\x00é用:guserolprjct", max_size=24))
def test_nothing_is_a_room_that_no_address_spells(name):
    parts = tuple(name.split(":"))
    spelled = [("global",)] if name == "global" else []
    if len(parts) == 2 and parts[0] in {"user", "role", "project"}:
        spelled.append(parts)
    if len(parts) == 3 and parts[0] == "project":
        spelled.append(parts)

    if rooms.is_room(name, ROLES):
        assert [spell(address) for address in spelled] == [name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "user",
        "user:",
        "user:1:admin",
        "user:1\n",
        " user:1",
        "User:1",
        "user:-1",
        "user:张三",
        "user:1\x00",
        "user:" + "a" * 129,
        "users:1",
        "role:",
        "role:stranger",
        "role:Admin",
        "project:",
        "project::reviewer",
        "project:1:",
        "project:1:stranger",
        "project:1:reviewer:1",
        "global:1",
        "globa",
        "notify:user:1",
        "*",
    ],
)
def test_what_is_not_an_address_is_refused(name):
    assert not rooms.is_room(name, ROLES)
    assert name == "project:1:stranger" or rooms.project_of(name) is None


def test_which_roles_there_are_is_for_the_settings_to_say():
    assert rooms.is_room("role:editor", ["editor"])
    assert rooms.is_room("project:1:editor", ["editor"])
    assert not rooms.is_room("role:admin", ["editor"])


def test_the_longest_room_fits_its_column():
    longest = rooms.project_room("p" * 128, "r" * 32)

    assert rooms.is_room(longest, ["r" * 32])
    assert len(longest) <= 200


def test_the_rooms_of_a_person_begin_with_their_own_and_end_with_everybodys():
    assert rooms.rooms_of("7", {"reviewer", "admin"}, {"b": {"reviewer", "annotator"}, "a": set()}) == (
        "user:7",
        "role:admin",
        "role:reviewer",
        "project:a",
        "project:b",
        "project:b:annotator",
        "project:b:reviewer",
        "global",
    )


@given(ids, st.sets(roles), st.dictionaries(ids, st.sets(roles), max_size=4))
def test_every_room_of_a_person_is_a_room_and_there_once(user_id, has, projects):
    found = rooms.rooms_of(user_id, has, projects)

    assert len(set(found)) == len(found)
    assert all(rooms.is_room(room, ROLES) for room in found)


@pytest.mark.parametrize(
    "nearest_first",
    [
        ["user:1", "project:1:reviewer", "project:1", "role:reviewer", "global"],
        ["project:2:annotator", "project:1"],
        ["role:admin", "role:reviewer"],
    ],
)
def test_what_comes_by_several_rooms_is_shown_as_from_the_most_personal(nearest_first):
    for at in range(len(nearest_first)):
        assert rooms.most_personal(reversed(nearest_first[at:])) == nearest_first[at]


@given(addresses, st.integers(0, 200))
def test_every_beginning_of_a_room_is_a_pattern_that_rooms_can_match(address, length):
    assert rooms.is_room_pattern(spell(address), ROLES)
    assert rooms.is_room_pattern(f"{spell(address)[:length]}*", ROLES)


@given(st.text(alphabet="a1:._-* guserolprjctnv", max_size=16))
def test_a_pattern_is_only_one_if_some_room_begins_so(beginning):
    endings = {"0", *(word[at:] for word in (*map(spell, _KINDS), *ROLES) for at in range(len(word) + 1))}
    some_room = any(rooms.is_room(beginning + ending, ROLES) for ending in endings)

    assert rooms.is_room_pattern(f"{beginning}*", ROLES) == some_room


_KINDS = (("user", "0"), ("project", "0"), ("global",), *(("role", role) for role in ROLES))


@pytest.mark.parametrize(
    "pattern",
    [
        "projekt:*",
        "users:*",
        "user:张*",
        "user:-*",
        "user:1:*",
        "role:stranger*",
        "role:admin:*",
        "project:1:stranger*",
        "project:1:admin:*",
        "project::*",
        "global:*",
        "globals*",
        "**",
        "user:*:1",
        "*:1",
        "user:" + "a" * 129 + "*",
        "user:\udcff*",
        "",
    ],
)
def test_a_pattern_that_no_room_can_match_is_none(pattern):
    assert not rooms.is_room_pattern(pattern, ROLES)
