"""MPEG transport streams: size of the packets, and programs.

PyAV shows the streams of all programs, not the programs, and writes all streams into one. So the
tables of a result (PAT, PMT, SDT) are rewritten in its packets. Sources: ISO 13818-1, 2.4.3 and
2.4.4; EN 300 468, 5.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_SYNC = 0x47  # first byte of every packet
_TS_BYTES = 188  # of a packet
_M2TS_BYTES = 192  # with an arrival time of 4 bytes before each packet: Blu-ray, AVCHD cameras
_PACKET_BYTES = (_TS_BYTES, _M2TS_BYTES, 204)  # plain, m2ts, with parity after each packet
_READ_BYTES = 4 << 20  # tables come at least every 0.1 s; guess, 8 s at 4 Mbit/s
_BLOCK_PACKETS = 1 << 16  # packets whose tables are rewritten at once, 12 MB
_PAT, _PMT, _SDT = 0, 2, 0x42  # table_id: program association, map, service description
_PAT_PID, _SDT_PID = 0, 17
_ENTRIES_AT = {_PAT: 8, _PMT: 12, _SDT: 11}  # where the entries begin; in a PMT after descriptors
_NO_NAMES = b"\xfc\x80\x00"  # rest of an SDT entry without descriptors: running, not scrambled
_CRC_BYTES = 4


@dataclass(frozen=True, slots=True)
class Program:
    """One program (service) of a transport stream."""

    number: int
    pids: frozenset[int]  # of its elementary streams
    service: bytes = field(default=b"", compare=False, repr=False)  # its entry in the SDT: names


def programs_of(path: Path) -> tuple[Program, ...]:
    """Return the programs of a transport stream, in the order of its first table."""
    packets = list(_packets(path))
    tables = (_programs_in(section) for section in _sections(packets, _PAT_PID, _PAT))
    maps = next((table for table in tables if table), {})
    services = _services_in(next(_sections(packets, _SDT_PID, _SDT), b""))
    found = []
    for number, pid in maps.items():
        sections = _sections(packets, pid, _PMT)
        mine = next((s for s in sections if int.from_bytes(s[3:5], "big") == number), b"")
        pids = frozenset(_streams_in(mine))
        found.append(Program(number, pids, services.get(number, b"")))
    return tuple(found)


def has_arrival_times(path: Path) -> bool:
    """Return True if the packets are those of m2ts, with an arrival time each."""
    with path.open("rb") as file:
        return _packet_grid(file.read(100 * max(_PACKET_BYTES)))[1] == _M2TS_BYTES


def write_programs(path: Path, muxer: str, programs: Sequence[Program]) -> None:
    """Give the only program of a finished file's tables way to ``programs``, in place.

    Their maps share the packets of the one map. Where these have no room, nothing is changed, nor
    for other muxers.

    Args:
        path: written by FFmpeg's ``muxer``, closed; the PIDs of its streams are the source's.
        muxer: FFmpeg's name.
        programs: of the source, in order.
    """
    if muxer != "mpegts" or len(programs) < 2:
        return
    packets = list(_packets(path))
    pat = next(_sections(packets, _PAT_PID, _PAT), b"")
    map_pid = next(iter(_programs_in(pat).values()), None)
    pmt = b"" if map_pid is None else next(_sections(packets, map_pid, _PMT), b"")
    if map_pid is None or not pmt:
        return
    numbers = [program.number for program in programs]
    entries = (number.to_bytes(2, "big") + pat[10:12] for number in numbers)
    maps = b"".join(_map_of(pmt, program, programs) for program in programs)
    payloads = {
        _PAT_PID: _payload(_section(pat[: _ENTRIES_AT[_PAT]], b"".join(entries))),
        map_pid: _payload(maps),
    }
    if sdt := next(_sections(packets, _SDT_PID, _SDT), b""):
        payloads[_SDT_PID] = _services(sdt, programs)
    if all(len(payload) == _TS_BYTES - 4 for payload in payloads.values()):
        _rewrite(path, payloads)


def _services(sdt: bytes, programs: Sequence[Program]) -> bytes:
    """Return the payload with the services' names; without them if they have no room."""
    bare = [program.number.to_bytes(2, "big") + _NO_NAMES for program in programs]
    named = [program.service or entry for program, entry in zip(programs, bare, strict=True)]
    head = sdt[: _ENTRIES_AT[_SDT]]
    tables = [_payload(_section(head, b"".join(entries))) for entries in (named, bare)]
    return next((table for table in tables if len(table) == _TS_BYTES - 4), tables[-1])


def _map_of(pmt: bytes, program: Program, programs: Sequence[Program]) -> bytes:
    """Return the map of one program, from the one map of all; the first has what no other has."""
    known = frozenset[int]().union(*(other.pids for other in programs))
    head_stop = _ENTRIES_AT[_PMT] + _length(pmt[10:12])
    streams = {
        pid: entry
        for pid, entry in _streams_in(pmt).items()
        if pid in program.pids or (program is programs[0] and pid not in known)
    }
    head = pmt[:3] + program.number.to_bytes(2, "big") + pmt[5:head_stop]
    return _section(head, b"".join(streams.values()))


def _rewrite(path: Path, payloads: dict[int, bytes]) -> None:
    """Replace the payload of every packet of these PIDs; headers with their counters are kept."""
    data = np.memmap(path, np.uint8, "r+")
    start, size = _packet_grid(data[:_READ_BYTES].tobytes())
    rows = data[start : start + (len(data) - start) // size * size].reshape(-1, size)
    for first in range(0, len(rows), _BLOCK_PACKETS):
        block = rows[first : first + _BLOCK_PACKETS]
        pids = (block[:, 1] & 0x1F).astype(np.uint16) << 8 | block[:, 2]
        for pid, payload in payloads.items():
            found = np.flatnonzero((pids == pid) & (block[:, 1] & 0x40 > 0))
            block[found, 4:_TS_BYTES] = np.frombuffer(payload, np.uint8)
    data.flush()


# --- tables -----------------------------------------------------------------------------------


def _programs_in(pat: bytes) -> dict[int, int]:
    """Return the PID of each program's map, by program number."""
    entries = pat[_ENTRIES_AT[_PAT] : -_CRC_BYTES]
    pairs = [entries[at : at + 4] for at in range(0, len(entries) - 3, 4)]
    numbers = {int.from_bytes(pair[:2], "big"): _pid(pair[2:]) for pair in pairs}
    return {number: pid for number, pid in numbers.items() if number}  # 0 is the network's table


def _streams_in(pmt: bytes) -> dict[int, bytes]:
    """Return the entry of each elementary stream of a map, by PID."""
    found: dict[int, bytes] = {}
    at = _ENTRIES_AT[_PMT] + _length(pmt[10:12]) if pmt else 0
    while at + 5 <= len(pmt) - _CRC_BYTES:
        stop = at + 5 + _length(pmt[at + 3 : at + 5])
        found[_pid(pmt[at + 1 : at + 3])] = pmt[at:stop]
        at = stop
    return found


def _services_in(sdt: bytes) -> dict[int, bytes]:
    """Return the entry of each service (program) in a service description table, by number."""
    found: dict[int, bytes] = {}
    at = _ENTRIES_AT[_SDT]
    while at + 5 <= len(sdt) - _CRC_BYTES:
        stop = at + 5 + _length(sdt[at + 3 : at + 5])
        found[int.from_bytes(sdt[at : at + 2], "big")] = sdt[at:stop]
        at = stop
    return found


def _section(head: bytes, entries: bytes) -> bytes:
    """Return a table with its length and checksum set anew."""
    length = len(head) - 3 + len(entries) + _CRC_BYTES
    content = head[:1] + (0xB000 | length).to_bytes(2, "big") + head[3:] + entries
    return content + _crc(content).to_bytes(_CRC_BYTES, "big")


def _payload(sections: bytes) -> bytes:
    """Return the content of a packet with these sections: a pointer, the sections, stuffing."""
    return (b"\0" + sections).ljust(_TS_BYTES - 4, b"\xff")


def _crc(data: bytes) -> int:
    """Return the CRC-32 of ISO 13818-1, annex A: not reflected, not inverted at the end."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def _pid(field: bytes) -> int:
    return int.from_bytes(field, "big") & 0x1FFF


def _length(field: bytes) -> int:
    return int.from_bytes(field, "big") & 0xFFF


# --- packets ----------------------------------------------------------------------------------


def _packets(path: Path) -> Iterator[bytes]:
    """Yield the first packets of a file, 188 bytes each."""
    with path.open("rb") as file:
        data = file.read(_READ_BYTES)
    start, size = _packet_grid(data)
    for at in range(start, len(data) - _TS_BYTES + 1, size):
        yield data[at : at + _TS_BYTES]


def _packet_grid(data: bytes) -> tuple[int, int]:
    """Return where the first packet begins, and the distance of two; (0, 188) if there are none."""
    for size in _PACKET_BYTES:
        for start in range(min(size, len(data))):
            places = range(start, min(len(data), start + 8 * size), size)
            if all(data[place] == _SYNC for place in places):
                return start, size
    return 0, _TS_BYTES


def _sections(packets: Sequence[bytes], pid: int, table: int) -> Iterator[bytes]:
    """Yield the sections of one table in the packets of one PID, put together."""
    buffer = b""
    for packet in packets:
        if packet[0] != _SYNC or _pid(packet[1:3]) != pid or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40 and payload:  # a section begins here, after the end of another one
            buffer = payload[1 + payload[0] :]
        elif buffer:
            buffer += payload
        while len(buffer) > 3 and len(buffer) >= (stop := 3 + _length(buffer[1:3])):
            if buffer[0] == table:
                yield buffer[:stop]
            buffer = buffer[stop:] if buffer[stop : stop + 1] != b"\xff" else b""
