"""Parts of being told: decisions, addresses, the outbox, pauses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from daemon.config.notify_settings import (
    MAX_RETRY_SECONDS,
    AppriseSettings,
    EventKind,
    NotifySettings,
    WebhookSettings,
    notify_problems,
)
from daemon.config.schema import Config
from daemon.notify import events
from daemon.notify.addresses import PrivateAddress, is_public, resolve
from daemon.notify.delivery import Message, Outcome, next_delay_seconds
from daemon.notify.events import BadEvent, Event, FilmFacts, read_event, write_queue_event
from daemon.notify.outbox import OUTBOX_FILE, Outbox
from daemon.notify.pauses import RESUMED_AFTER_SECONDS, PauseEvents
from daemon.notify.programs import variables_of
from daemon.notify.webhook import outcome_of

NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Someone:
    """A receiver that is never asked to send."""

    name: str
    kinds: frozenset[EventKind] = field(default=frozenset(EventKind))
    address_digest: str = "here"

    def send(self, message: Message, *, now: float) -> Outcome:
        """Not in these tests."""
        raise AssertionError(message, now)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty outbox."""
    box = Outbox(tmp_path / "notify")
    yield box
    box.close()


def event(event_id: str, kind: EventKind = EventKind.DONE, subject: str = "") -> Event:
    """An event of this host."""
    return Event(event_id, kind, NOW, "host", "A sentence.", subject=subject)


# --- decisions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tries", "asked", "delay"),
    [
        (1, 0.0, 5.0),  # the first delay after the first try
        (2, 0.0, 30.0),
        (2, 3600.0, 3600.0),  # the receiver asks for more
        (2, 1.0, 30.0),  # for less: not heard
        (1, 1e9, 24 * 3600.0),  # for too much: a day
        (3, 0.0, None),  # given up
        (3, 3600.0, None),
    ],
)
def test_next_delay(tries: int, asked: float, delay: float | None) -> None:
    """Delays grow as configured, at least as long as the receiver asks; then it is given up."""
    outcome = Outcome(False, retry_after_seconds=asked)
    assert next_delay_seconds(tries, outcome, (5.0, 30.0)) == delay


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (200, "", Outcome(True)),
        (204, "9", Outcome(True)),
        (410, "", Outcome(False, "it answered 410.", gone=True)),
        (500, "9", Outcome(False, "it answered 500.")),  # not one of those that may ask
        (429, "9", Outcome(False, "it answered 429.", retry_after_seconds=9.0)),
        (503, "Fri, 15 Jan 2027 08:01:00 GMT", Outcome(False, "it answered 503.", False, 60.0)),
        (503, "Fri, 15 Jan 2021 08:01:00 GMT", Outcome(False, "it answered 503.")),
        (429, "soon", Outcome(False, "it answered 429.")),
        (429, "-5", Outcome(False, "it answered 429.")),
    ],
)
def test_outcome_of_an_answer(status: int, header: str, expected: Outcome) -> None:
    """2xx is success, 410 the end; Retry-After counts where it makes sense."""
    assert outcome_of(status, header, now=NOW) == expected


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # metadata of clouds
        ("100.64.0.1", False),  # carrier-grade NAT
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("2002:7f00:1::", False),  # 6to4 of the same
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """Only addresses of the Internet are public, whatever they are wrapped in."""
    assert is_public(address) is public


def test_private_names_are_refused() -> None:
    """A name that leads to this machine is refused, unless that is allowed."""
    with pytest.raises(PrivateAddress):
        resolve("localhost", 80, allow_private=False)
    assert set(resolve("localhost", 80, allow_private=True)) <= {"127.0.0.1", "::1"}


def hook(**changes: object) -> NotifySettings:
    """The settings with one webhook that is changed."""
    return NotifySettings(webhooks=(replace(HOOK, **changes),))  # type: ignore[arg-type] # as asked


HOOK = WebhookSettings(name="hub", url="https://hub.example.org/hook")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (NotifySettings(command=("tell",)), "notify.command"),
        (NotifySettings(command_seconds=0.0), "notify.command_seconds"),
        (NotifySettings(retry_seconds=(0.0,)), "notify.retry_seconds"),
        (hook(name="a b"), "notify.webhooks[0].name"),
        (NotifySettings(webhooks=(HOOK, HOOK)), "notify"),
        (hook(url=""), "notify.webhooks[0]"),
        (hook(url_credential="x"), "notify.webhooks[0]"),
        (hook(url="ftp://a/"), "notify.webhooks[0].url"),
        (hook(url="https://u:p@a/"), "notify.webhooks[0].url"),
        (hook(url="https://a:x/"), "notify.webhooks[0].url"),
        (
            NotifySettings(webhooks=(replace(HOOK, url="https://a/\r\nb"),)),
            "notify.webhooks[0].url",
        ),
        (
            NotifySettings(webhooks=(replace(HOOK, secrets=("../x",)),)),
            "notify.webhooks[0].secrets[0]",
        ),
        (NotifySettings(apprise=(AppriseSettings("phone", ""),)), "notify.apprise[0].credential"),
        (NotifySettings(apprise=(AppriseSettings("hub", "x"),), webhooks=(HOOK,)), "notify"),
    ],
)
def test_what_cannot_be_configured(settings: NotifySettings, key: str) -> None:
    """Each mistake is named by its key, and no address is shown."""
    (problem,) = notify_problems(settings)
    assert problem.key == key
    assert "u:p" not in problem.sentence
    assert list(notify_problems(NotifySettings(webhooks=(HOOK,), command=("/bin/true",)))) == []


# --- events and the outbox ------------------------------------------------------------------------


def test_an_event_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A file is the event that was written; anything else is refused."""
    written = event("01-paused", EventKind.PAUSED, "host")
    write_queue_event(written, tmp_path)
    assert read_event(tmp_path / "01-paused.json") == written
    (tmp_path / "01-paused.json").rename(tmp_path / "02-paused.json")
    for name, text in (("x.json", "{"), ("y.json", "[]"), ("z.json", '{"event_id": "z"}')):
        (tmp_path / name).write_text(text)
    for path in tmp_path.iterdir():
        with pytest.raises(BadEvent):
            read_event(path)


def test_events_without_a_notifier_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody takes them, no more are written than there is room for."""
    monkeypatch.setattr(events, "MAX_EVENTS", 2)
    for number in range(4):
        write_queue_event(event(f"{number}-paused", EventKind.PAUSED), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-paused.json", "1-paused.json"]


def test_an_event_is_told_once_to_those_who_want_it(outbox: Outbox) -> None:
    """An event that arrives twice is one; each receiver is told of its own kinds only."""
    both, failures = Someone("both"), Someone("failures", frozenset({EventKind.FAILED}))
    for _ in range(2):
        arrived = [(event("1-done"), "one"), (event("2-failed", EventKind.FAILED), "two")]
        outbox.take(arrived, [both, failures])
    first = outbox.begin("both", (5.0,), now=NOW)
    assert first is not None
    assert (first.message.event_id, first.message.body, first.tries) == ("1-done", "one", 1)
    outbox.finish("both", "1-done")
    outbox.take([(event("1-done"), "one")], [both, failures])
    assert outbox.waiting("both") == outbox.waiting("failures") == 1


def test_a_message_that_was_begun_is_due_again(outbox: Outbox, tmp_path: Path) -> None:
    """What was begun before a crash comes again with the same id, after its delay."""
    outbox.take([(event("1-done"), "one")], [Someone("hub")])
    begun = outbox.begin("hub", (5.0,), now=NOW)
    assert begun is not None
    again = Outbox(tmp_path / "notify")
    assert again.begin("hub", (5.0,), now=NOW + 4.9) is None
    repeated = again.begin("hub", (5.0,), now=NOW + 5.1)
    assert repeated == replace(begun, tries=2)
    again.retry_at("hub", "1-done", 2, NOW + 1e9)  # a clock that was wrong by decades
    assert again.begin("hub", (5.0,), now=NOW + 1e9 - MAX_RETRY_SECONDS - 1) is not None
    again.close()


def test_a_pause_is_told_when_it_changes(outbox: Outbox) -> None:
    """A repeated pause, or the end of none, is no message; each subject is for itself."""
    story = [
        ("1", EventKind.RESUMED, "host", 0),  # the start of a daemon that was not paused
        ("2", EventKind.PAUSED, "host", 1),
        ("3", EventKind.PAUSED, "host", 1),  # the daemon was started again
        ("4", EventKind.PAUSED, "person", 2),
        ("5", EventKind.RESUMED, "host", 3),
        ("6", EventKind.RESUMED, "host", 3),
        ("7", EventKind.PAUSED, "host", 4),
    ]
    for event_id, kind, subject, messages in story:
        outbox.take([(event(event_id, kind, subject), "")], [Someone("hub")])
        assert outbox.waiting("hub") == messages, event_id


def test_who_wants_no_more_is_told_no_more(outbox: Outbox) -> None:
    """A receiver is disabled with its address: at another one it is another receiver."""
    hub, moved = Someone("hub"), Someone("hub", address_digest="elsewhere")
    outbox.take([(event("1-done"), "")], [hub])
    assert outbox.disable(hub) == 1
    outbox.take([(event("2-done"), "")], [hub])
    assert outbox.waiting("hub") == 0
    assert outbox.is_disabled(hub)
    assert not outbox.is_disabled(moved)
    outbox.take([(event("3-done"), "")], [moved])
    assert outbox.waiting("hub") == 1
    assert outbox.drop_others(["other"]) == 1
    outbox.enable("hub")
    assert not outbox.is_disabled(hub)


def test_a_damaged_outbox_is_set_aside(tmp_path: Path) -> None:
    """It is kept under another name, and messages go on with a new one."""
    folder = tmp_path / "notify"
    folder.mkdir()
    (folder / OUTBOX_FILE).write_bytes(b"no database" * 1000)
    outbox = Outbox(folder)
    outbox.take([(event("1-done"), "")], [Someone("hub")])
    outbox.close()
    assert (folder / "outbox.broken").read_bytes().startswith(b"no database")


def test_a_command_is_given_names_as_they_are() -> None:
    """A path keeps its bytes; text that no variable can have is escaped."""
    path = "/done/" + os.fsdecode(b"caf\xe9 \xe4\xb8\xad.mp4")
    facts = FilmFacts(job_id="1", film="café 中.mp4", path=path, error="Bad\0\ud800", attempts=2)
    told = replace(event("1-failed", EventKind.FAILED), film=facts)
    message = Message(told.event_id, told.kind, json.dumps(events.message_of(told)))
    variables = variables_of(message)
    assert os.fsencode(variables["SUBTITLE_ERASER_PATH"]) == os.fsencode(path)
    assert variables["SUBTITLE_ERASER_ATTEMPTS"] == "2"
    assert all("\0" not in one and os.fsencode(one) for one in variables.values() if one)


# --- pauses ---------------------------------------------------------------------------------------


def test_pauses_become_events(tmp_path: Path) -> None:
    """A pause is written when it begins, its end once it has lasted; a moment without is no end."""
    config = Config(notify=NotifySettings(command=("/bin/true",)))
    config = replace(config, folders=replace(config.folders, state=tmp_path))
    ids = iter(range(100))
    pauses = PauseEvents(config, lambda: f"{next(ids)}")
    long = RESUMED_AFTER_SECONDS
    for now, sentence in (
        (0.0, "The disk is full."),
        (1.0, "The disk is full: 3 MB."),
        (2.0, ""),
        (3.0, "The disk is full."),
        (4.0, ""),
        (4.0 + long, ""),
        (5.0 + long, ""),
        (6.0 + long, "The share\nis gone."),
    ):
        pauses.observe("host", sentence, now=now, wall=NOW + now)
    pauses.close()
    told = sorted(
        (read_event(path) for path in (tmp_path / "events").glob("*.json")),
        key=lambda one: one.at,
    )
    assert [(one.kind, one.at - NOW, one.sentence) for one in told] == [
        (EventKind.PAUSED, 0.0, "The disk is full."),
        (EventKind.RESUMED, 4.0 + long, "Films go on."),
        (EventKind.PAUSED, 6.0 + long, "The share\\nis gone."),
    ]
