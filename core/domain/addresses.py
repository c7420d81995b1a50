"""Addresses: whose request it is, when it came through proxies."""

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

UNKNOWN = "unknown"


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted_proxies: int) -> str:
    """The address of whoever asked, `unknown` when even the peer's cannot be read.

    `peer` is the other end of the connection, `forwarded_for` the values of all X-Forwarded-For headers in their
    order. Each proxy of ours appends whom it was asked by, so that with n of them the n-th entry from the end is
    true; what stands before it, and everything when there is no proxy of ours, is what the sender likes to say.
    Fewer entries than proxies, or one that is no address: the last that can be believed.
    """
    believed = _read(peer or "") or UNKNOWN
    hops = [hop for line in forwarded_for for hop in line.split(",")]
    for hop in hops[::-1][:trusted_proxies]:
        address = _read(hop.strip())
        if address is None:
            break
        believed = address
    return believed


def network(address: str) -> str:
    """What one subscriber has of the Internet: an IPv4 address, and 64 bits of an IPv6 address; `unknown` stays."""
    plain, *_ = address.split("%")  # a zone says by which of our own wires it came
    return str(IPv6Network((plain, 64), strict=False)) if ":" in plain else plain


def _read(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
