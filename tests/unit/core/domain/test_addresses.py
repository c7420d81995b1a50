import pytest

from core.domain.addresses import client_address, network

CLIENT, OUTER, INNER = "203.0.113.9", "198.51.100.1", "10.0.0.2"
SPOOFED = "192.0.2.66"


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies"),
    [
        (CLIENT, [], 0),
        (INNER, [CLIENT], 1),
        (INNER, [f"{CLIENT}, {OUTER}"], 2),
        (INNER, [CLIENT, OUTER], 2),
    ],
)
def test_it_is_the_clients_behind_any_number_of_proxies(peer, forwarded_for, proxies):
    assert client_address(peer, forwarded_for, proxies) == CLIENT


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies"),
    [
        (CLIENT, [SPOOFED], 0),
        (INNER, [f"{SPOOFED}, {CLIENT}"], 1),
        (INNER, [SPOOFED, CLIENT], 1),
        (INNER, [f"{SPOOFED},{SPOOFED}", f"{CLIENT}, {OUTER}"], 2),
    ],
)
def test_what_the_client_itself_wrote_is_never_believed(peer, forwarded_for, proxies):
    assert client_address(peer, forwarded_for, proxies) == CLIENT


@pytest.mark.parametrize(
    "written", ["", "unknown", "nonsense, ", "::1]", "a" * 10_000, "1.2.3.4:99", "1.2.3"]
)
def test_what_is_no_address_leaves_the_proxys_own(written):
    assert client_address(INNER, [written], 1) == INNER


def test_with_fewer_entries_than_proxies_it_is_the_outermost_entry():
    assert client_address(INNER, [OUTER], 3) == OUTER
    assert client_address(INNER, [], 3) == INNER


@pytest.mark.parametrize(
    ("peer", "shown"), [("::FFFF:203.0.113.9", CLIENT), ("2001:DB8::0:1", "2001:db8::1"), (None, "unknown")]
)
def test_one_address_has_one_form(peer, shown):
    assert client_address(peer, [], 0) == shown


@pytest.mark.parametrize(
    ("address", "theirs"),
    [
        (CLIENT, CLIENT),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_subscriber_has_one_network(address, theirs):
    assert network(address) == theirs
