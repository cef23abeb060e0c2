"""Events as files: the daemon writes them, the notifier of the same host takes them.

An event of a film is committed together with the film's outcome, and exactly once:

1. before ``job.json`` says the outcome, an empty ``event.json`` is put into the job folder
   (``expect_event``);
2. once it does, that file is completed and *renamed* into ``work/.events/<host>/``
   (``publish_event``). It is the same filesystem, so the rename happens once, whoever does it: this
   daemon, this daemon after a crash, or another that has taken the job over. Where the file is
   missing, the event is out already.

An event of the queue belongs to the host. It is written to ``state/events/``, which is on a local
disk: the reason of a pause may be that the share is gone.

Nothing is written while ``notify`` names no receiver.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from daemon.config.notify_settings import EventKind
from daemon.config.parsing import as_json, read_record
from daemon.config.schema import Config
from daemon.storage.failpoints import failpoint
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import make_folder, sync_folder, write_whole

log = structlog.get_logger(__name__)

EVENT_FILE = "event.json"
"""Name of the event in the job folder, until it is published."""
EVENTS_FOLDER = ".events"
"""Folder below ``work/`` with one folder of events for each host."""
QUEUE_EVENTS_FOLDER = "events"
"""Folder below the state folder with the events of the queue."""
ENDING = ".json"
"""Ending of an event's file; files that are being written have another."""
MAX_EVENT_BYTES = 1 << 20
"""Largest file that is read as an event, in bytes: two paths and a sentence, each escaped."""
MAX_EVENTS = 10_000
"""Events that wait for a notifier; without one, further ones are not written. A guess."""


_EVENT_ID = re.compile(r"[\w-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """Facts about the film of an event."""

    job_id: str
    film: str  # path of the source below the inbox, printable
    path: str  # of the film now: the result or the source; its bytes, as surrogate escapes
    attempts: int = 0
    seconds: float = 0.0  # duration of the last attempt
    frames: int = 0
    subtitles: int = 0  # erased
    error: str = ""  # class of the failure; "" without one
    remedy: str = ""  # who can put it right; "" without a failure


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened, once."""

    event_id: str  # the same whenever this event is told, to anybody; letters, digits, '-', '_'
    kind: EventKind
    at: float  # seconds since 1970
    host: str  # ``claims.instance`` of the daemon, or its host's name
    sentence: str  # for a person, printable
    subject: str = ""  # of an event of the queue: the reason that comes and goes
    film: FilmFacts | None = None  # ``None``: the event is one of the queue


class BadEvent(ValueError):
    """A file that is no event; the text says why."""


def host_of(config: Config) -> str:
    """Return the name under which the daemons of this host are known."""
    return config.claims.instance or os.uname().nodename


def job_events_folder(config: Config) -> Path:
    """Return the folder in which the events of this host's films wait for the notifier."""
    return config.folders.work / EVENTS_FOLDER / host_of(config)


def queue_events_folder(config: Config) -> Path:
    """Return the folder in which the events of this host's queue wait for the notifier."""
    return config.folders.state / QUEUE_EVENTS_FOLDER


def expect_event(job_folder: Path) -> None:
    """Note in a job folder that its outcome is to be told; before that outcome is saved.

    It is durable with the next ``save_job``, which syncs the folder.
    """
    (job_folder / EVENT_FILE).touch()


def event_expected(job_folder: Path) -> bool:
    """Return True if the event of a job that has ended is not published yet."""
    try:
        return EVENT_FILE in os.listdir(job_folder)  # noqa: PTH208 - an error about one file is no proof
    except FileNotFoundError:  # it is through
        return False


def publish_event(job_folder: Path, event: Event, folder: Path) -> None:
    """Complete the event of a job folder and rename it into ``folder``, durably.

    Raises:
        OSError: it could not be written or renamed; the call may be repeated.
    """
    file = job_folder / EVENT_FILE
    write_whole(file, as_json(event).encode())
    failpoint("notify.after_event")
    make_folder(folder)
    if _is_full(folder):
        log.warning("notify.event_dropped", event_id=event.event_id, folder=str(folder))
        file.unlink()
    else:
        os.rename(file, folder / f"{event.event_id}{ENDING}")
        sync_folder(folder)
    sync_folder(job_folder)
    failpoint("notify.after_publication")


def write_queue_event(event: Event, folder: Path) -> None:
    """Write an event of the queue into ``folder``, durably.

    Raises:
        OSError: it could not be written.
    """
    make_folder(folder)
    if _is_full(folder):
        log.warning("notify.event_dropped", event_id=event.event_id, folder=str(folder))
    else:
        write_whole(folder / f"{event.event_id}{ENDING}", as_json(event).encode())


def _is_full(folder: Path) -> bool:
    return len(os.listdir(folder)) >= MAX_EVENTS  # noqa: PTH208 - names only


def read_event(path: Path) -> Event:
    """Return the event in a file; keys of a later release are ignored.

    Raises:
        BadEvent: it is none.
        OSError: the file cannot be read.
    """
    try:
        raw = read_json(path, MAX_EVENT_BYTES)
    except BadJson as error:
        raise BadEvent(str(error)) from error
    if not isinstance(raw, dict):
        raise BadEvent("it is no record")
    event = read_record(Event, raw, error=BadEvent, lenient=True)
    if event.event_id != path.name.removesuffix(ENDING) or not _EVENT_ID.fullmatch(event.event_id):
        raise BadEvent("its name is another's")
    return event


def message_of(event: Event) -> dict[str, object]:
    """Return what receivers are told: ``type``, ``timestamp``, ``data`` (Standard Webhooks)."""
    group = "job" if event.film else "queue"
    facts = asdict(event.film) if event.film else {"subject": event.subject}
    return {
        "type": f"{group}.{event.kind}",
        "timestamp": datetime.fromtimestamp(event.at, UTC).isoformat(),
        "data": {"host": event.host, "sentence": event.sentence, **facts},
    }
