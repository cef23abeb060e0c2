"""Being told: real daemons and notifiers, real receivers, killed at every step."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from daemon.config.notify_settings import EventKind
from daemon.notify.events import Event, FilmFacts, expect_event, publish_event, write_queue_event
from daemon.notify.outbox import OUTBOX_FILE
from tests.process import receiver
from tests.process.house import REPOSITORY, Daemon, House
from tests.process.mounts import SickShare
from tests.process.orders import Orders
from tests.process.receiver import Answer, HttpReceiver
from tests.process.test_control import command
from tests.process.test_failpoints import NOTIFYING

pytestmark = pytest.mark.process

BAD_FILM = "raise FIX_INPUT\n"
QUICK_RETRIES = [0.2] * 5
HOST = "here"

Listen = Callable[[Answer], HttpReceiver]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Starts receivers, which end with the test."""
    started: list[HttpReceiver] = []

    def start(answer: Answer) -> HttpReceiver:
        started.append(HttpReceiver(answer))
        return started[-1]

    yield start
    for one in started:
        one.close()


def webhook(name: str, url: str, **keys: object) -> dict[str, Any]:
    """The entry of a receiver on this machine."""
    return {"name": name, "url": url, "allow_private": True, **keys}


def tell(house: House, **keys: object) -> None:
    """Configure who is told."""
    house.configure(
        claims={"instance": HOST},
        notify={"retry_seconds": QUICK_RETRIES, "send_seconds": 1.0, **keys},
    )


def happen(house: House, film: str) -> None:
    """Let a film be done, as far as the notifier can know: its event waits."""
    event_id = f"{film}-done"
    facts = FilmFacts(job_id=film, film=f"{film}.mp4", path=f"/done/{film}.mp4")
    event = Event(event_id, EventKind.DONE, time.time(), HOST, f"{film}.mp4: done.", film=facts)
    job = house.root / "job"
    job.mkdir(exist_ok=True)
    expect_event(job)
    publish_event(job, event, house.work / ".events" / HOST)


def notifier(house: House, **environment: str) -> Daemon:
    """A notifier at work."""
    return house.start("notify", quick=False, **environment)


def events_left(house: House) -> list[str]:
    """The names of the events that no notifier has taken."""
    return sorted(path.name for path in house.root.glob("*/**/*-done.json"))


def secret_file(house: House, name: str, text: str) -> str:
    """A file with a secret; its path."""
    path = house.root / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def whsec(raw: bytes) -> str:
    """A signing secret, as receivers give it."""
    return f"whsec_{base64.b64encode(raw).decode()}"


def script(house: House, name: str, text: str) -> str:
    """A program of the operator's."""
    path = house.root / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# --- everybody, once ------------------------------------------------------------------------------


def test_everybody_is_told_once(house: House, listen: Listen) -> None:
    """A command, a webhook and apprise are told of each film once, and no secret is logged."""
    hub, phone = listen(receiver.status(204)), listen(receiver.status(200))
    secrets = [
        whsec(b"secret of the hub, the old one"),
        whsec(b"secret of the hub, the new one, padded"),
    ]
    files = [secret_file(house, f"hub-{n}", one) for n, one in enumerate(secrets)]
    phone_url = f"json://user:PASSWORD-SECRET@127.0.0.1:{phone.port}/phone-SECRET"
    told = house.root / "told"
    command = script(
        house, "tell.sh", f'env | grep SUBTITLE_ERASER_ > "{told}.$$"; cat > "{told}.$$.json"'
    )
    tell(
        house,
        command=[command],
        webhooks=[webhook("hub", hub.url, secrets=files)],
        apprise=[
            {
                "name": "phone",
                "credential": secret_file(house, "phone", phone_url),
                "events": ["failed"],
            }
        ],
    )
    house.drop("good.mp4")
    house.drop("bad.mp4", BAD_FILM)
    assert house.once() == 1
    assert len(list(house.work.glob(f".events/{HOST}/*.json"))) == 2
    daemon = notifier(house)
    house.wait(lambda: len(daemon.said("notify.delivered")) == 5)
    assert daemon.stop() == 0
    assert len(daemon.said("notify.delivered")) == 5
    check_webhooks(house, hub, secrets)
    (message,) = [json.loads(one.body) for one in phone.received]
    assert message["message"].startswith("bad.mp4: ")
    assert len(list(house.root.glob("told.*.json"))) == 2
    check_command(house)
    log = daemon.log.read_text() + house.daemons[0].log.read_text()
    assert "SECRET" not in log
    assert not any(secret.removeprefix("whsec_") in log for secret in secrets)


def check_webhooks(house: House, hub: HttpReceiver, secrets: list[str]) -> None:
    """Each message is signed with each secret, and says what became of the film."""
    assert set(hub.ids().values()) == {1}
    messages = {}
    for one in hub.received:
        for secret in secrets:
            Webhook(secret).verify(one.body, one.headers)
        message = json.loads(one.body)
        messages[message["type"]] = message["data"]
    assert set(messages) == {"job.done", "job.failed"}
    assert messages["job.done"]["path"] == str(house.done / "good.mp4")
    assert messages["job.done"]["host"] == HOST
    assert messages["job.failed"]["path"] == str(house.failed / "bad.mp4")
    assert messages["job.failed"]["sentence"] == house.explanation("bad.mp4")["sentence"]
    assert messages["job.failed"]["remedy"] == "fix-input"


def check_command(house: House) -> None:
    """The command is given the same on standard input and as variables, and no more of ours."""
    for path in house.root.glob("told.*.json"):
        data = json.loads(path.read_text())["data"]
        lines = path.with_suffix("").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        assert variables["SUBTITLE_ERASER_JOB_ID"] == data["job_id"]
        assert variables["SUBTITLE_ERASER_PATH"] == data["path"]
        assert variables["SUBTITLE_ERASER_EVENT"] in ("done", "failed")
        assert "SUBTITLE_ERASER_CONFIG" not in variables


# --- killed ---------------------------------------------------------------------------------------


def test_killed_at_every_step(house: House, listen: Listen) -> None:
    """Whatever the daemon and the notifier die at, a film is one message with one id."""
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    house.drop("film.mp4")
    for point in (
        "publish.after_done",
        "history.after_record",
        *NOTIFYING[:2],
        "discard.after_aside",
    ):
        assert house.once(FAULT_AT=point) == -signal.SIGKILL, point
    assert house.once() == 0
    assert len(events_left(house)) == 1
    for point in NOTIFYING[2:]:
        assert notifier(house, FAULT_AT=point).wait() == -signal.SIGKILL, point
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.delivered"))
    assert daemon.stop() == 0
    ((event_id, times),) = hub.ids().items()
    assert event_id.endswith("-done")
    assert times == 2, "once, and again because the outcome of the first was not stored"
    assert events_left(house) == []


def test_each_step_killed_alone(house: House, listen: Listen) -> None:
    """Only a death between sending and storing repeats a message, and then with the same id."""
    expected = {"notify.after_store": 1, "notify.after_begin": 1, "notify.after_send": 2}
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    for point, times in expected.items():
        name = point.replace(".", "_")
        happen(house, name)
        assert notifier(house, FAULT_AT=point).wait() == -signal.SIGKILL, point
        daemon = notifier(house)
        house.wait(lambda: daemon.said("notify.delivered"))  # noqa: B023 - called at once
        assert daemon.stop() == 0
        assert hub.ids()[f"{name}-done"] == times, point


def test_another_host_takes_the_job_over(house: House) -> None:
    """A film whose daemon died between its outcome and its event is one event."""
    tell(house, command=["/bin/true"])
    for point, name in (("publish.after_done", "a"), ("notify.after_publication", "b")):
        house.drop(f"{name}.mp4")
        first = house.start("once", host="first", FAULT_AT=point)
        assert first.wait() == -signal.SIGKILL, point
        second = house.start("run", host="second")
        house.wait(lambda: not list(house.work.glob("first-*")))
        house.wait(lambda: not list(house.work.glob("second-*/*/job.json")))
        assert second.stop() == 0
    told = {path.parent.name for path in house.work.glob(".events/*/*.json")}
    assert len(events_left(house)) == 2
    assert told == {"first", "second"}


# --- receivers ------------------------------------------------------------------------------------


def test_bad_receivers_hold_up_nobody(house: House, listen: Listen) -> None:
    """Slow, dead, lying and redirecting receivers are tried again; the good one is told at once."""
    good, innocent = listen(receiver.status(200)), listen(receiver.status(200))
    bad = {
        "trickling": listen(receiver.trickle),
        "garbage": listen(receiver.garbage),
        "redirecting": listen(receiver.status(307, Location=innocent.url)),
        "broken": listen(receiver.status(500)),
    }
    urls = {name: one.url for name, one in bad.items()}
    urls["dead"] = f"http://127.0.0.1:{receiver.closed_port()}/"
    urls["not-tls"] = good.url.replace("http://", "https://")
    hooks = [webhook(name, url) for name, url in urls.items()]
    hooks += [webhook("good", good.url), webhook("private", innocent.url, allow_private=False)]
    house_retries = [0.1, 0.1]
    tell(house, webhooks=hooks, retry_seconds=house_retries)
    happen(house, "film")
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.delivered"))
    assert not daemon.said("notify.given_up")
    house.wait(lambda: len(daemon.said("notify.given_up")) == len(urls) + 1)
    assert daemon.stop() == 0
    assert [one["receiver"] for one in daemon.said("notify.delivered")] == ["good"]
    reasons = {one["receiver"]: one["reason"] for one in daemon.said("notify.given_up")}
    assert "did not answer within" in reasons["trickling"]
    assert "a redirect" in reasons["redirecting"]
    assert "allow_private" in reasons["private"]
    assert "500" in reasons["broken"]
    assert "does not speak HTTP" in reasons["garbage"]
    assert "cannot be reached" in reasons["dead"]
    assert "TLS failed" in reasons["not-tls"]
    assert innocent.received == []
    assert all(len(one.received) == 3 for one in bad.values())
    assert "SECRET" not in daemon.log.read_text()


def test_what_receivers_ask_for(house: House, listen: Listen) -> None:
    """429 waits as long as it says, 410 ends it until a test succeeds; no answer is read."""
    busy = listen(receiver.first(receiver.status(429, Retry_After="1"), receiver.status(200)))
    leaving = listen(receiver.first(receiver.status(410), receiver.status(200)))
    huge = listen(receiver.endless_body)
    tell(
        house,
        webhooks=[
            webhook("busy", busy.url),
            webhook("leaving", leaving.url),
            webhook("huge", huge.url),
        ],
    )
    happen(house, "one")
    daemon = notifier(house)
    house.wait(lambda: len(daemon.said("notify.delivered")) == 2)
    assert busy.received[1].at - busy.received[0].at >= 0.9
    (disabled,) = daemon.said("notify.disabled")
    assert disabled["receiver"] == "leaving"
    happen(house, "two")
    house.wait(lambda: len(daemon.said("notify.delivered")) == 4)
    assert len(leaving.received) == 1
    assert trial(house) == (0, ["busy: delivered", "leaving: delivered", "huge: delivered"])
    happen(house, "three")
    house.wait(lambda: len(daemon.said("notify.delivered")) == 7)
    assert daemon.stop() == 0
    assert [json.loads(one.body)["type"] for one in leaving.received] == [
        "job.done",
        "test",
        "job.done",
    ]


def trial(house: House, **environment: str) -> tuple[int, list[str]]:
    """The exit code and the lines of ``notify --test``."""
    argv = [sys.executable, "-m", "daemon", "notify", "--test", "--config", str(house.config)]
    done = subprocess.run(
        argv,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_certificates_count(house: House) -> None:
    """A certificate of a stranger, or for another name, is refused; a good one is accepted."""
    certificate = house.root / "localhost.pem"
    make_certificate(certificate)
    server = HttpReceiver(receiver.status(200), certificate)
    try:
        good = f"https://localhost:{server.port}/hook"
        other_name = good.replace("localhost", "127.0.0.1")
        tell(
            house,
            webhooks=[webhook("good", good), webhook("other-name", other_name)],
            retry_seconds=[600.0],
        )
        happen(house, "film")
        for variables, expected in (({}, 0), ({"SSL_CERT_FILE": str(certificate)}, 1)):
            assert trial(house, **variables)[1].count("good: delivered") == expected
        daemon = notifier(house, SSL_CERT_FILE=str(certificate))
        house.wait(lambda: daemon.said("notify.delivered") and daemon.said("notify.failed"))
        assert daemon.stop() == 0
        (failed,) = daemon.said("notify.failed")
        assert failed["receiver"] == "other-name"
        assert failed["reason"].startswith("its certificate is not accepted (")
        assert [json.loads(one.body)["type"] for one in server.received] == ["test", "job.done"]
    finally:
        server.close()


def make_certificate(path: Path) -> None:
    """Write a key and a certificate for localhost, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*argv, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())


# --- commands -------------------------------------------------------------------------------------


def test_commands_that_misbehave(house: House) -> None:
    """A command that prints gigabytes, leaves children behind, or fails at first is no trouble."""
    children, tries = house.root / "children", house.root / "tries"
    command = script(
        house,
        "tell.sh",
        f"""
        (sleep 300; echo never) & echo $! >> "{children}"
        head -c 200000000 /dev/zero; head -c 200000000 /dev/zero >&2
        echo x >> "{tries}"
        [ $(wc -l < "{tries}") -ge 2 ] || {{ echo sorry >&2; exit 3; }}
        """,
    )
    tell(house, command=[command])
    happen(house, "film")
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.delivered"))
    (failed,) = daemon.said("notify.failed")
    assert failed["reason"].startswith("it exited with 3.")
    assert len(failed["reason"]) < 3000
    pids = children.read_text().split()
    house.wait(lambda: not any(is_alive(int(pid)) for pid in pids))
    assert len(pids) == 2
    assert daemon.stop() == 0


def test_a_command_that_hangs_is_killed(house: House, listen: Listen) -> None:
    """It holds up no webhook, and is killed with its children when its time is up."""
    hub, pid = listen(receiver.status(200)), house.root / "pid"
    command = script(
        house, "tell.sh", f'echo $$ > "{pid}"; trap "" TERM; while :; do sleep 1; done'
    )
    tell(
        house,
        command=[command],
        command_seconds=1.0,
        retry_seconds=[600.0],
        webhooks=[webhook("hub", hub.url)],
    )
    happen(house, "film")
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.delivered"))
    house.wait(lambda: daemon.said("notify.failed"))
    assert "did not end within 1 s" in daemon.said("notify.failed")[0]["reason"]
    assert not is_alive(int(pid.read_text()))
    assert daemon.stop() == 0


def test_a_stop_waits_for_a_command(house: House) -> None:
    """A command that is at work when the service stops ends in peace, and is not run again."""
    runs, go = house.root / "runs", house.root / "go"
    command = script(
        house, "tell.sh", f'echo x >> "{runs}"; until [ -e "{go}" ]; do sleep 0.1; done'
    )
    tell(house, command=[command])
    happen(house, "film")
    daemon = notifier(house)
    house.wait(runs.exists)
    daemon.process.terminate()
    house.wait(lambda: "notify.started" in daemon.log.read_text())
    go.touch()
    assert daemon.wait() == 0
    assert daemon.said("notify.delivered")
    happen(house, "another")
    again = notifier(house)
    house.wait(lambda: again.said("notify.delivered"))
    assert again.stop() == 0
    assert runs.read_text() == "x\n" * 2


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- the notifier itself --------------------------------------------------------------------------


def test_a_locked_outbox_repeats_nothing(house: House, listen: Listen) -> None:
    """While the outbox cannot be written nothing is sent; afterwards each message goes once."""
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.started"))
    lock = sqlite3.connect(house.state / "notify" / OUTBOX_FILE, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    happen(house, "film")
    house.wait(lambda: daemon.said("notify.outbox_trouble"))
    assert hub.received == []
    lock.execute("ROLLBACK")
    lock.close()
    house.wait(lambda: daemon.said("notify.delivered"))
    assert daemon.stop() == 0
    assert list(hub.ids().values()) == [1]


def test_a_share_that_hangs_delays_no_pause(house: House, share: SickShare, listen: Listen) -> None:
    """While the folder of the films' events hangs, the pause of the queue is told."""
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.started"))
    share.fall_ill(Orders("", seconds=8.0))
    pause = Event("1-paused", EventKind.PAUSED, time.time(), HOST, "The share hangs.", "host")
    write_queue_event(pause, house.state / "events")
    house.wait(lambda: daemon.said("notify.delivered"), seconds=7)
    share.recover()
    assert daemon.stop() == 0


def test_one_notifier_for_a_state_folder(house: House) -> None:
    """A second one leaves at once, with a sentence; wrong credentials are a wrong configuration."""
    tell(house, command=["/bin/true"])
    daemon = notifier(house)
    house.wait(lambda: daemon.said("notify.started"))
    second = notifier(house)
    assert second.wait() == 1
    assert "another `notify` is at work" in second.log.read_text()
    assert daemon.stop() == 0
    for keys, sentence in (
        ({"secrets": ["absent"]}, "there is no credential absent"),
        ({"secrets": [secret_file(house, "empty", "")]}, "is empty"),
        ({"secrets": [secret_file(house, "words", "no base64!")]}, "must be whsec_"),
    ):
        tell(house, webhooks=[webhook("hub", "http://127.0.0.1:1/", **keys)])
        third = notifier(house)
        assert third.wait() == 78
        assert sentence in third.log.read_text()


def test_a_pause_is_told(house: House, listen: Listen) -> None:
    """A queue that waits for the operator is told once, at work or at the start of the daemon."""
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    daemon, eraser = notifier(house), house.start()
    house.wait(lambda: eraser.said("service.started"))
    house.done.rmdir()
    house.wait(lambda: daemon.said("notify.delivered"))
    assert eraser.stop() == 0
    config = house.config.read_text()
    house.config.write_text(config.replace("min_free_mb: 0", "min_free_mb: 1000000000"))
    again = house.start()
    house.wait(lambda: len(daemon.said("notify.taken")) == 2)
    assert again.stop() == 0
    assert daemon.stop() == 0
    (message,) = [json.loads(one.body) for one in hub.received]
    assert message["type"] == "queue.paused"
    assert str(house.done) in message["data"]["sentence"]


def test_a_pause_that_a_person_asks_for_is_told(house: House, listen: Listen) -> None:
    """With who asked for it; it is no problem of the host."""
    hub = listen(receiver.status(200))
    tell(house, webhooks=[webhook("hub", hub.url)])
    daemon, eraser = notifier(house), house.start()
    house.wait(lambda: eraser.said("service.started"))
    assert "paused" in command(house, "pause")
    house.wait(lambda: daemon.said("notify.delivered"))
    assert eraser.stop() == 0
    assert daemon.stop() == 0
    (message,) = [json.loads(one.body) for one in hub.received]
    assert (message["type"], message["data"]["subject"]) == ("queue.paused", "person")
    assert "paused by " in message["data"]["sentence"]


def test_nothing_is_written_for_nobody(house: House) -> None:
    """Without a receiver the daemon leaves no events; a notifier has nothing to do, and waits."""
    house.drop("film.mp4")
    daemon = notifier(house)
    assert house.once() == 0
    assert not (house.work / ".events").exists()
    assert list(house.state.glob("events/*")) == []
    house.wait(lambda: daemon.said("notify.started"))
    assert daemon.stop() == 0
