import json

import pytest

from core.domain.issuers import ClaimNames
from server.settings import SettingsError, read_settings

SECRET = "0123456789abcdef" * 2
BY_SECRET = {
    "issuer": "https://acme.example", "prefix": "acme", "audience": "notify", "algorithms": ["HS256"], "secret": "hunter2!" * 4,
}  # fmt: skip
BY_KEYS = {
    "issuer": "https://beta.example", "prefix": "beta", "audience": "notify", "algorithms": ["RS256", "ES256"],
    "jwks_url": "https://beta.example/.well-known/jwks.json",
}  # fmt: skip


@pytest.fixture
def read(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", SECRET)

    def read(value, **variables):
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("ISSUERS", value if isinstance(value, str) else json.dumps(value))
        return read_settings().issuers

    return read


@pytest.fixture
def faults(read):
    def faults(value, **variables):
        with pytest.raises(SettingsError) as error:
            read(value, **variables)
        return str(error.value).splitlines()

    return faults


def test_issuers_are_read_with_what_is_usual_filled_in(read):
    by_secret, by_keys = read([BY_SECRET, BY_KEYS])

    assert (by_secret.issuer, by_secret.prefix, by_secret.audience) == (
        "https://acme.example",
        "acme",
        "notify",
    )
    assert (by_secret.secret, by_secret.jwks_url, by_secret.algorithms) == ("hunter2!" * 4, None, ("HS256",))
    assert (by_keys.secret, by_keys.jwks_url) == (None, BY_KEYS["jwks_url"])
    assert by_keys.algorithms == ("RS256", "ES256")
    assert by_keys.claims == ClaimNames(id="sub", name="name", roles="roles", projects="projects")
    assert by_secret.roles == by_keys.roles == {"annotator", "reviewer"}


def test_names_of_claims_and_roles_may_be_given(read):
    (issuer,) = read([{**BY_SECRET, "claims": {"id": "uid", "roles": "groups"}, "roles": ["lead", "admin"]}],
                     ROLES="lead,reviewer,admin")  # fmt: skip

    assert issuer.claims == ClaimNames(id="uid", name="name", roles="groups", projects="projects")
    assert issuer.roles == {"lead", "admin"}


def test_all_roles_but_the_administrators_are_given_by_default(read):
    assert read([BY_SECRET], ROLES="lead,admin")[0].roles == {"lead"}


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:9000"])
def test_keys_may_come_unencrypted_from_this_machine(read, host):
    assert read([{**BY_KEYS, "jwks_url": f"http://{host}/keys"}])


def without(entry, name):
    return {key: value for key, value in entry.items() if key != name}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "Not JSON"), ("{", "Not JSON"), ("[" * 100_000, "Not JSON"), ("\udcff", "UTF-8"), ("[]", "Not a list"), ("{}", "Not a list"),
        ([1], "0._schema"), ([[]], "0._schema"),
        *(([without(BY_SECRET, name)], f"0.{name}") for name in ("issuer", "prefix", "audience", "algorithms")),
        ([without(BY_SECRET, "secret")], "Exactly one"), ([{**BY_SECRET, "jwks_url": BY_KEYS["jwks_url"]}], "Exactly one"),
        ([{**BY_SECRET, "issuer": "notify"}], "0.issuer"), ([{**BY_SECRET, "issuer": ""}], "0.issuer"),
        ([{**BY_SECRET, "audience": ""}], "0.audience"), ([{**BY_SECRET, "audience": ["notify"]}], "0.audience"),
        *(([{**BY_SECRET, "prefix": prefix}], "0.prefix")
          for prefix in ("", "A", "1a", "a|b", "a b", "-a", "a" * 17, "acme\n")),
        *(([{**BY_SECRET, "algorithms": algorithms}], "0.algorithms")
          for algorithms in ([], ["none"], ["None"], ["RS256"], ["HS256", "RS256"], ["HS1"], "HS256", None)),
        *(([{**BY_KEYS, "algorithms": algorithms}], "0.algorithms") for algorithms in (["HS256"], ["RS256", "HS256"], ["none"])),
        ([{**BY_SECRET, "secret": "x" * 31}], "At least 32 bytes"), ([{**BY_SECRET, "secret": ""}], "At least 32 bytes"),
        ([{**BY_SECRET, "algorithms": ["HS512"], "secret": "x" * 63}], "At least 64 bytes"),
        ([{**BY_SECRET, "secret": "x" * 40 + "\ud800"}], "0.secret"),
        *(([{**BY_KEYS, "jwks_url": url}], "0.jwks_url")
          for url in ("http://beta.example/keys", "ftp://beta.example", "https://", "beta.example", "", "http://[x", "https://b:x/",
                      "http://127.0.0.1.evil.example/", "file:///etc/passwd")),
        ([{**BY_SECRET, "roles": ["owner"]}], "0.roles"), ([{**BY_SECRET, "roles": "admin"}], "0.roles"),
        ([{**BY_SECRET, "claims": {"id": ""}}], "0.claims.id"), ([{**BY_SECRET, "claims": {"sub": "x"}}], "0.claims.sub"),
        ([{**BY_SECRET, "claims": ["sub"]}], "0.claims"), ([{**BY_SECRET, "secert": "x"}], "0.secert"),
        ([BY_SECRET, {**BY_KEYS, "issuer": BY_SECRET["issuer"]}], "same issuer"),
        ([BY_SECRET, {**BY_KEYS, "prefix": "acme"}], "same prefix"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_its_place(faults, value, told):
    lines = faults(value)

    assert len(lines) == 1
    assert lines[0].startswith("ISSUERS: ")
    assert told in lines[0]


def test_all_faults_are_told_together_and_none_of_the_values(faults):
    entries = [
        {**BY_SECRET, "prefix": "HUNTER2", "secret": "hunter2", "audience": ""},
        {**BY_KEYS, "jwks_url": "http://hunter2@beta.example/"},
    ]

    lines = faults(entries, PORT="x", ROLES="")

    assert {line.partition(":")[0] for line in lines} == {"PORT", "ROLES", "ISSUERS"}
    (line,) = (line for line in lines if line.startswith("ISSUERS"))
    for place in ("0.prefix", "0.audience", "1.jwks_url"):
        assert place in line
    assert "hunter2" not in line.lower()
