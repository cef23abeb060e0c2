"""MPEG transport streams: size of the packets, and programs of the association table (PAT).

PyAV shows the streams of all programs, not the programs. Source: ISO 13818-1, 2.4.3 and 2.4.4.3.
"""

from __future__ import annotations

from pathlib import Path

_SYNC = 0x47  # first byte of every packet
_M2TS_BYTES = 192  # with an arrival time of 4 bytes before each packet: Blu-ray, AVCHD cameras
_PACKET_BYTES = (188, _M2TS_BYTES, 204)  # plain, m2ts, with parity after each packet
_READ_BYTES = 4 << 20  # a PAT comes at least every 0.1 s; guess, 8 s at 4 Mbit/s


def program_count(path: Path) -> int:
    """Return the number of programs in the first association table; 1 if there is none."""
    data, (start, size) = _head(path, _READ_BYTES)
    found = (_programs(data[at : at + 188]) for at in range(start, len(data) - 187, size))
    return next((count for count in found if count), 1)


def has_arrival_times(path: Path) -> bool:
    """Return True if the packets are those of m2ts, with an arrival time each."""
    _, (_, size) = _head(path, 100 * max(_PACKET_BYTES))
    return size == _M2TS_BYTES


def _head(path: Path, size_bytes: int) -> tuple[bytes, tuple[int, int]]:
    """Return a file's first bytes, and start and size of the packets in them; (0, 188): none."""
    with path.open("rb") as file:
        data = file.read(size_bytes)
    for size in _PACKET_BYTES:
        for start in range(size):
            if _has_packets(data, start, size):
                return data, (start, size)
    return data, (0, _PACKET_BYTES[0])


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
