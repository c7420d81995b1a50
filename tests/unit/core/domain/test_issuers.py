import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import rooms
from core.domain.errors import Unauthenticated
from core.domain.issuers import PREFIX_PATTERN, ClaimNames, Issuer, outside_id, read_person

ACME = Issuer(
    issuer="https://acme.example",
    prefix="acme",
    audience="notify",
    algorithms=("HS256",),
    roles=frozenset({"annotator", "reviewer"}),
    secret="x" * 32,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
prefixes = st.from_regex(PREFIX_PATTERN, fullmatch=True)


def person(issuer=ACME, **claims):
    return read_person(issuer, {"sub": "17", "iat": 1_700_000_000, **claims})


@given(prefixes, texts)
def test_whatever_an_issuer_calls_somebody_becomes_an_id_with_a_room_and_never_a_local_one(prefix, text):
    outside = outside_id(prefix, text)

    assert re.fullmatch(rooms.ID_PATTERN, outside)
    assert rooms.is_room(rooms.user_room(outside), ())
    assert not outside.isdigit()


@given(st.tuples(prefixes, texts), st.tuples(prefixes, texts))
def test_two_people_never_share_an_id(one, other):
    assert (outside_id(*one) == outside_id(*other)) == (one == other)


@given(prefixes, texts)
def test_an_id_that_looks_encoded_is_not_taken_for_what_it_would_decode_to(prefix, text):
    encoded = outside_id(prefix, text).partition("|")[2]

    assert (outside_id(prefix, encoded) == outside_id(prefix, text)) == ("~" not in encoded)


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("17", "acme|17"), ("Ann.Lee_1+x@b-c", "acme|Ann.Lee_1+x@b-c"), ("a b", "acme|a~20b"), ("a~20b", "acme|a~7E20b"),
        ("a|b", "acme|a~7Cb"), ("张", "acme|~E5~BC~A0"), ("a:b", "acme|a~3Ab"), ("\x00", "acme|~00"),
        ("auth0|5f7c", "acme|auth0~7C5f7c"),
    ],
)  # fmt: skip
def test_what_ids_cannot_have_is_written_in_hexadecimal(text, outside):
    assert outside_id("acme", text) == outside


@pytest.mark.parametrize("text", ["", "x" * 124, "张" * 14, "\ud800"])
def test_an_id_that_cannot_be_is_refused(text):
    with pytest.raises(Unauthenticated) as refused:
        outside_id("acme", text)
    assert refused.value.code == "token_invalid"


def test_the_longest_id_is_taken():
    assert len(outside_id("acme", "x" * 123)) == 128


def test_claims_say_who_somebody_is():
    adopted = person(
        name="安妮", roles=["reviewer"], projects={"7": ["reviewer"], "8": []}, iat=1_700_000_000.25
    )

    assert (adopted.user_id, adopted.username, adopted.name) == ("acme|17", "acme|17", "安妮")
    assert adopted.issuer == "https://acme.example"
    assert adopted.roles == {"reviewer"}
    assert adopted.projects == {"acme|7": {"reviewer"}, "acme|8": frozenset()}
    assert adopted.claims_at == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)


def test_projects_may_be_a_list_without_roles():
    assert person(projects=["7", "a b"]).projects == {"acme|7": frozenset(), "acme|a~20b": frozenset()}


@pytest.mark.parametrize("absent", [{}, {"name": None, "roles": None, "projects": None}, {"name": ""}])
def test_what_claims_leave_out_is_nothing_and_the_name_is_the_id(absent):
    adopted = person(**absent)

    assert (adopted.name, adopted.roles, adopted.projects) == ("acme|17", frozenset(), {})


def test_a_long_name_is_cut():
    assert person(name="张" * 300).name == "张" * 200


def test_roles_that_the_issuer_may_not_give_are_left_out_also_in_projects():
    adopted = person(roles=["admin", "owner", "annotator"], projects={"7": ["admin", "reviewer"]})

    assert adopted.roles == {"annotator"}
    assert adopted.projects == {"acme|7": {"reviewer"}}


def test_claims_are_read_by_the_names_that_the_issuer_gives_them():
    names = ClaimNames(id="uid", name="display", roles="https://acme/roles", projects="teams")
    issuer = Issuer(
        issuer="i", prefix="acme", audience="a", algorithms=("HS256",), roles=ACME.roles, claims=names
    )

    adopted = person(
        issuer,
        uid="u1", display="Ann", teams=["7"], name="no", roles=["annotator"], projects=["no"],
        **{"https://acme/roles": ["reviewer"]},
    )  # fmt: skip

    assert (adopted.user_id, adopted.name, adopted.roles) == ("acme|u1", "Ann", {"reviewer"})
    assert adopted.projects.keys() == {"acme|7"}


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 17}, {"sub": None}, {"sub": True}, {"sub": ["17"]}, {"sub": ""}, {"sub": "\x00"}, {"sub": "\ud800"},
        {"name": 5}, {"name": ["Ann"]}, {"name": "a\x00"}, {"name": "\udfff"}, {"name": False},
        {"roles": "reviewer"}, {"roles": [1]}, {"roles": {"reviewer": True}}, {"roles": [["reviewer"]]}, {"roles": 0},
        {"projects": "7"}, {"projects": [7]}, {"projects": {"7": "reviewer"}}, {"projects": {"7": [1]}}, {"projects": {"": []}},
        {"projects": [""]}, {"projects": ["x" * 200]}, {"projects": False}, {"projects": ["\ud800"]},
        {"iat": "1700000000"}, {"iat": None}, {"iat": True}, {"iat": 1e300}, {"iat": float("nan")}, {"iat": float("inf")},
        {"iat": 10**400}, {"iat": -1e18},
    ],
)  # fmt: skip
def test_claims_of_a_wrong_type_are_refused(claims):
    with pytest.raises(Unauthenticated) as refused:
        person(**claims)
    assert refused.value.code == "token_invalid"


def test_a_secret_is_not_shown_with_its_issuer():
    assert "xxxx" not in repr(ACME)
