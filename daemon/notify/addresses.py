"""Addresses that a webhook may be sent to: resolved once, checked, and connected to as checked.

A name that is resolved a second time may lead elsewhere (DNS rebinding), so the connection is made
to the very address that was checked.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
"""Prefix of IPv6 addresses that contain an IPv4 address (RFC 6052)."""


class PrivateAddress(Exception):
    """A name that leads into a private network, or to this machine."""


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Return the addresses of ``host`` that may be connected to, in the resolver's order.

    Raises:
        PrivateAddress: there are some, but each of them is private.
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    usable = [one for one in addresses if allow_private or is_public(one)]
    if not usable:
        raise PrivateAddress(host)
    return usable


def is_public(address: str) -> bool:
    """Return True if ``address`` is one of the public Internet, as is any address within it."""
    parsed = ip_address(address.partition("%")[0])
    inner = _embedded(parsed) if isinstance(parsed, IPv6Address) else None
    public = parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
    return inner.is_global and not inner.is_multicast if inner is not None else public


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, by a tunnel or a gateway."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
