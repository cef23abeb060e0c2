"""MPEG transport streams: the programs that their association table (PAT) lists.

PyAV shows the streams of all programs, not the programs. Source: ISO 13818-1, 2.4.3 and 2.4.4.3.
"""

from __future__ import annotations

from pathlib import Path

_SYNC = 0x47  # first byte of every packet
_PACKET_BYTES = (188, 192, 204)  # plain, with a time code before it (m2ts), with parity after it
_READ_BYTES = 4 << 20  # a PAT comes at least every 0.1 s; guess, 8 s at 4 Mbit/s


def program_count(path: Path) -> int:
    """Return the number of programs in the first association table; 1 if there is none."""
    with path.open("rb") as file:
        data = file.read(_READ_BYTES)
    for size in _PACKET_BYTES:
        start = next((at for at in range(size) if _has_packets(data, at, size)), None)
        if start is not None:
            found = (_programs(data[at : at + 188]) for at in range(start, len(data) - 187, size))
            return next((count for count in found if count), 1)
    return 1


def _has_packets(data: bytes, start: int, size: int) -> bool:
    """Return True if packets of ``size`` bytes follow each other from ``start`` on."""
    places = range(start, min(len(data), start + 8 * size), size)
    return bool(places) and all(data[place] == _SYNC for place in places)


def _programs(packet: bytes) -> int:
    """Return the number of programs in a packet with an association table, else 0."""
    is_table = packet[1] & 0x1F == packet[2] == 0 and packet[1] & 0x40
    if not is_table:
        return 0
    payload = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    section = packet[payload + 1 + packet[payload] :] if payload < len(packet) else b""
    if len(section) < 12 or section[0] != 0:
        return 0
    length = int.from_bytes(section[1:3], "big") & 0xFFF
    entries = section[8 : 3 + length - 4]  # each a program number and the PID of its table
    numbers = [int.from_bytes(entries[at : at + 2], "big") for at in range(0, len(entries) - 3, 4)]
    return sum(number != 0 for number in numbers)  # 0 is the network's table
