import pytest

from api.hosts import AllowedHosts

GIVEN = ("notify.example", ".internal.example", "Upper.Example.")


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "localhost:8000", "LOCALHOST:8000", "localhost.", "localhost.:8000", "app.localhost", "a.b.localhost:1",
        "127.0.0.1", "127.0.0.1:8000", "10.1.2.3", "203.0.113.7:443", "[::1]", "[::1]:8000", "[2001:db8::1]", "[::ffff:10.0.0.1]:1",
        "notify.example", "NOTIFY.example:443", "notify.example.", "notify.example:",
        "a.internal.example", "a.b.INTERNAL.example:8443", "upper.example",
    ],
)  # fmt: skip
def test_addresses_localhost_and_given_hosts_are_answered(header):
    assert AllowedHosts(GIVEN).allows(header)


@pytest.mark.parametrize(
    "header",
    [
        "evil.example", "evil.example:8000", "notify.example.evil", "evilnotify.example", "a.notify.example",
        "internal.example", "evilinternal.example", ".internal.example", "localhost.evil.example", "evillocalhost", ".localhost",
        "127.0.0.1.evil.example", "127.0.0.1.nip.io", "127.1", "2130706433", "0x7f000001", "127.0.0.01", "999.0.0.1",
        "::1", "[::1", "::1]", "[127.0.0.1]", "[evil.example]", "[::1%25eth0]", "[::1].evil.example", "[]",
        "", " ", ".", ":8000", "..", "localhost..", "localhost:x", "localhost:80:80", "localhost:123456", "localhost localhost",
        "localhost,evil.example", "evil.example,localhost", "user@localhost", "localhost@evil.example", "http://localhost",
        "localhost/", "localhost\n", "localhost\x00", "ｌocalhost", "*", "a.*", "localhost:８０",
    ],
)  # fmt: skip
def test_every_other_host_is_refused(header):
    assert not AllowedHosts(GIVEN).allows(header)


def test_no_hosts_given_is_not_all_hosts():
    assert not AllowedHosts(()).allows("evil.example")
    assert AllowedHosts(()).allows("localhost:8000")
