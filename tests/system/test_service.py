"""The service as it is installed: a real systemd, the real unit, real films, real disasters.

The tests share one machine and go on from each other, in the order in which they stand here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.clips import Caption, ffmpeg, make_film, small_film
from tests.process.mounts import SickShare
from tests.process.orders import Orders
from tests.system.conftest import SECOND_DISK, SOURCES, WHEELS
from tests.system.machine import Machine

pytestmark = pytest.mark.budget(600)

SERVICE = "subtitle-eraser"
ROOT = "/srv/films"
INSTALL = f"{SOURCES}/deploy/systemd/install.sh"
CONFIG = f"/etc/{SERVICE}/config.yaml"
UNIT = f"/etc/systemd/system/{SERVICE}.service"
NOBODY = 65534


def install(machine: Machine, *options: str) -> str:
    """What the installer says; its wheels come from a folder, as on a host without network."""
    return machine.run(
        INSTALL, *options, PIP_NO_INDEX="1", PIP_FIND_LINKS=WHEELS, PIP_CONFIG_FILE=os.devnull
    )


def ask(machine: Machine, *command: str) -> str:
    """What the program says to the service's user."""
    return machine.run("runuser", "-u", SERVICE, "--", SERVICE, *command, "--config", CONFIG)


def films(machine: Machine, folder: str) -> list[str]:
    """The films in one of the folders."""
    return sorted(one.name for one in machine.path(f"{ROOT}/{folder}").glob("*.mp4"))


def drop(machine: Machine, film: Path, name: str) -> None:
    """Copy a film into the inbox as another user would, and give it its name at the end."""
    part = machine.path(f"{ROOT}/inbox/{name}.part")
    part.write_bytes(film.read_bytes())
    os.chown(part, NOBODY, part.parent.stat().st_gid)
    part.rename(part.with_suffix(""))


def segment_stored(machine: Machine) -> bool:
    """Whether a film at work has a finished segment."""
    return any(machine.path(f"{ROOT}/work").glob("*/*/segments/*.json"))


def states(machine: Machine) -> dict[str, str]:
    """The state of each job on disk, by the film's name."""
    jobs = []
    for file in machine.path(f"{ROOT}/work").glob("*/*/job.json"):
        with suppress(FileNotFoundError):  # it has just ended
            jobs.append(json.loads(file.read_bytes()))
    return {job["name"]: job["state"] for job in jobs}


def with_attachment(film: Path) -> Path:
    """A Matroska film of 192 MB: ``film`` with an attachment that does not shrink.

    A share may take it in pieces of a megabyte, and the copy must outlast another film.
    """
    heavy, attached = film.with_name("heavy.mkv"), film.with_name("attached.bin")
    attached.write_bytes(os.urandom(192 << 20))
    attach = ("-attach", str(attached), "-metadata:s:t", "mimetype=application/octet-stream")
    ffmpeg("-i", film, "-c", "copy", *attach, heavy)
    return heavy


def nothing_left(machine: Machine) -> bool:
    """Whether no film waits or is at work."""
    jobs = any(machine.path(f"{ROOT}/work").glob("*/*/job.json"))
    return not jobs and not any(machine.path(f"{ROOT}/inbox").glob("*.m[pk][4v]"))


def wait_done(machine: Machine, name: str) -> dict[str, object]:
    """The report of a film, once it is done and nothing of it is left elsewhere."""
    machine.wait(
        lambda: name in films(machine, "done") and nothing_left(machine), SERVICE, seconds=120
    )
    assert films(machine, "failed") == []
    assert films(machine, "originals").count(name) == 1
    said = json.loads(machine.path(f"{ROOT}/done/{name}.report.json").read_bytes())
    report: dict[str, object] = said["report"]
    return report


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of one segment."""
    path = tmp_path_factory.mktemp("films") / "short.mp4"
    small_film(path)
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of several segments, with work in each."""
    path = tmp_path_factory.mktemp("films") / "long.mp4"
    captions = [Caption(f"Line number {k}", 40 * k + 4, 40 * k + 36) for k in range(6)]
    make_film(path, captions, width=640, height=360, frames=240)
    return path


def test_it_is_installed_and_starts(machine: Machine, python: str) -> None:
    """Program, user, folders, configuration and unit are put in place, and the service is up."""
    said = install(machine, "--root", ROOT, "--python", python, "--cpu")
    assert f"{ROOT}/{{inbox,work,done,failed,originals}}" in said
    assert machine.show(SERVICE, "ActiveState") == "active"
    machine.wait(lambda: machine.show(SERVICE, "StatusText") == "Waiting for films.", SERVICE)
    assert machine.run("systemctl", "is-enabled", SERVICE) == "enabled"
    modes = machine.run("stat", "-c", "%a %U:%G", f"{ROOT}/inbox", f"{ROOT}/work")
    operators = f"{SERVICE}-operators"
    assert modes.splitlines() == [f"2770 {SERVICE}:{SERVICE}", f"2750 {SERVICE}:{operators}"]
    asked = machine.run("sh", "-c", f"stat -c '%a %G' {ROOT}/work/*/ {ROOT}/work/*/asked")
    assert asked.splitlines() == [f"750 {operators}", f"2770 {operators}"]
    assert f"paused by {SERVICE} on " in ask(machine, "pause", "--for", "2h")
    assert "resumed" in ask(machine, "resume")
    machine.run("systemd-analyze", "verify", f"{SERVICE}.service", f"{SERVICE}-models.service")
    assert "rapidocr" in ask(machine, "doctor")  # and it found nothing wrong


def test_installing_again_keeps_the_configuration(machine: Machine, python: str) -> None:
    """A second run is an upgrade: the operator's settings stay, and so does the release before."""
    config = machine.path(CONFIG)
    settings = yaml.safe_load(config.read_text())
    assert settings["folders"]["inbox"] == f"{ROOT}/inbox"
    settings["inbox"]["settle_local_seconds"] = 0.5
    settings["inbox"]["rescan_seconds"] = 2.0
    settings["erase"]["segment_seconds"] = 2.0
    settings["retry"]["delay_seconds"] = 0.5
    settings["worker"]["drain_seconds"] = 0.0
    # After a boot the free lock tells that the daemon before has ended, long before its lease.
    settings["claims"].update(heartbeat_seconds=1.0, lease_seconds=600.0)
    config.write_text(yaml.safe_dump(settings))
    hurry = machine.path(f"/etc/systemd/system/{SERVICE}.service.d/90-hurry.conf")
    hurry.parent.mkdir(exist_ok=True)
    hurry.write_text("[Service]\nWatchdogSec=8\nRestartSec=1\n[Unit]\nStartLimitBurst=100\n")
    before = machine.run("readlink", "/opt/subtitle-eraser/current")
    releases = machine.path("/opt/subtitle-eraser/releases")
    for name in ("0.0.8-20200101T000000", "0.0.9-20200101T000000", "0.0.10-20200101T000000"):
        (releases / name).mkdir()
    runs = f"/opt/subtitle-eraser/releases/{'0.0.8-20200101T000000'}/bin/sleep"
    machine.run("install", "-D", "/bin/sleep", runs)
    machine.run("systemd-run", "--unit=earlier-service", runs, "infinity")
    install(machine, "--python", python, "--cpu")  # it knows its root
    assert yaml.safe_load(config.read_text()) == settings
    after = machine.run("readlink", "/opt/subtitle-eraser/current")
    assert before != after
    # The one before, the newest of another version, and what a service runs that was not restarted.
    kept = {"0.0.8-20200101T000000", "0.0.10-20200101T000000"}
    assert {one.name for one in releases.iterdir()} == {Path(before).name, Path(after).name, *kept}
    assert f"ReadWritePaths={ROOT}\n" in machine.path(UNIT).read_text()
    assert machine.show(SERVICE, "ActiveState") == "active"
    machine.run("systemctl", "stop", "earlier-service")


def test_a_film_goes_through(machine: Machine, short: Path) -> None:
    """Another user's film is cleaned under all the hardening; the result is the group's."""
    drop(machine, short, "first.mp4")
    report = wait_done(machine, "first.mp4")
    assert report["untouched"] is False
    assert machine.path(f"{ROOT}/done/first.und.srt").read_text().endswith("\nHello there\n")
    result = f"{ROOT}/done/first.mp4"
    assert machine.run("stat", "-c", "%a %U:%G", result) == f"640 {SERVICE}:{SERVICE}"
    assert "first.mp4" in ask(machine, "status")


def test_it_tells_of_films(machine: Machine, python: str, short: Path) -> None:
    """With --notify another service runs the command, and is given secrets that are root's."""
    told, secret = f"/var/lib/{SERVICE}/notify/told", machine.path(f"/etc/{SERVICE}/notify/hub")
    tell = machine.path("/usr/local/bin/tell")
    tell.write_text(f'#!/bin/sh\necho "$SUBTITLE_ERASER_EVENT $SUBTITLE_ERASER_FILM" >> {told}\n')
    tell.chmod(0o755)
    settings = yaml.safe_load(machine.path(CONFIG).read_text())
    hub = {"name": "hub", "url": "http://127.0.0.1:9/", "allow_private": True, "secrets": ["hub"]}
    settings["notify"].update(command=["/usr/local/bin/tell"], webhooks=[hub])
    machine.path(CONFIG).write_text(yaml.safe_dump(settings))
    secret.parent.mkdir(mode=0o700)
    secret.write_text("whsec_c2VjcmV0IG9mIHRoZSBodWI=")
    secret.chmod(0o600)
    install(machine, "--python", python, "--cpu", "--notify")
    machine.run("systemd-analyze", "verify", f"{SERVICE}-notify.service")
    assert machine.show(f"{SERVICE}-notify", "ActiveState") == "active"
    drop(machine, short, "told.mp4")
    machine.wait(lambda: machine.path(told).exists(), f"{SERVICE}-notify")
    assert machine.path(told).read_text() == "done told.mp4\n"
    journal = machine.run("journalctl", "--unit", f"{SERVICE}-notify", "--output", "cat")
    assert '"receiver": "command"' in journal
    assert "Connection refused" in journal  # nobody listens there, but its secret was read
    assert "whsec" not in journal
    machine.run("systemctl", "disable", "--now", f"{SERVICE}-notify")


def test_everybody_may_see_the_status(machine: Machine) -> None:
    """A user without rights reads the status file, though neither work/ nor state."""
    as_nobody = ("runuser", "-u", "nobody", "--")
    work = f"{ROOT}/work"
    assert machine.run(*as_nobody, "ls", work, check=False) == ""
    assert machine.run("stat", "-c", "%a", f"/run/{SERVICE}", f"/run/{SERVICE}/status.json") == (
        "755\n644"
    )

    def told() -> dict[str, object]:
        text = machine.run(*as_nobody, "cat", f"/run/{SERVICE}/status.json")
        return dict(json.loads(text))

    machine.wait(lambda: told()["state"] == "idle", SERVICE)  # some seconds after the last film
    file = told()
    assert (file["schema"], file["work"]) == (1, work)

    def status() -> str:
        return machine.run(*as_nobody, SERVICE, "status", "--config", CONFIG)

    machine.wait(lambda: "Waiting for films." in status(), SERVICE)  # a film has just gone
    said = status()
    assert f"{work} is closed to user" in said
    machine.path(CONFIG).chmod(0o600)
    assert "Waiting for films." in machine.run(*as_nobody, SERVICE, "status")
    machine.path(CONFIG).chmod(0o644)


def test_a_container_knows_who_lives(machine: Machine, long: Path) -> None:
    """The service has another /proc than we have, with another boot id, and is alive all the same.

    It keeps its film, though `once` runs beside it; and each knows the other's folders.
    """
    pid = machine.show(SERVICE, "MainPID")
    boot_id = "proc/sys/kernel/random/boot_id"
    ours = machine.run("cat", f"/{boot_id}")
    its = machine.run("nsenter", "-t", pid, "-m", "cat", f"/{boot_id}")
    assert ours != its, "this machine is no container"
    drop(machine, long, "beside_once.mp4")
    machine.wait(lambda: segment_stored(machine), SERVICE, seconds=120)
    for user in (SERVICE, "root"):
        said = machine.run("runuser", "-u", user, "--", SERVICE, "status", "--json")
        (view,) = json.loads(said)["daemons"]
        assert (view["condition"], view["well"]) == ("alive", True)
    ask(machine, "once")
    report = wait_done(machine, "beside_once.mp4")
    assert report["segments_resumed"] == 0
    assert "claims.lost" not in machine.journal(SERVICE)


def test_each_knows_the_others_folders(machine: Machine, short: Path) -> None:
    """What is a mount of its own in the unit is a part of the disk to `once`; they take turns."""
    machine.run("systemctl", "stop", SERVICE)
    drop(machine, short, "by_hand.mp4")
    ask(machine, "once")
    wait_done(machine, "by_hand.mp4")
    machine.run("systemctl", "start", SERVICE)
    drop(machine, short, "by_the_service.mp4")
    wait_done(machine, "by_the_service.mp4")


def test_a_film_that_is_still_written_waits(machine: Machine, short: Path) -> None:
    """A film that another user holds open is left alone, however long it does not change."""
    path = machine.path(f"{ROOT}/inbox/held.mp4")
    with path.open("wb") as sender:
        content = short.read_bytes()
        sender.write(content[:3000])
        sender.flush()
        os.chown(path, NOBODY, path.parent.stat().st_gid)
        drop(machine, short, "behind.mp4")
        wait_done_beside(machine, "behind.mp4")
        assert films(machine, "inbox") == ["held.mp4"]
        sender.write(content[3000:])
    wait_done(machine, "held.mp4")


def wait_done_beside(machine: Machine, name: str) -> None:
    """Return once a film is done, whatever else waits."""
    machine.wait(lambda: name in films(machine, "done"), SERVICE, seconds=120)


def test_a_killed_worker_costs_nothing(machine: Machine, long: Path) -> None:
    """SIGKILL to the worker in mid-film, as the kernel sends it: film and unit go on."""
    pid = machine.show(SERVICE, "MainPID")
    drop(machine, long, "worker_killed.mp4")
    machine.wait(lambda: segment_stored(machine), SERVICE, seconds=120)
    machine.run("pkill", "-KILL", "-f", "daemon.worker")
    report = wait_done(machine, "worker_killed.mp4")
    assert report["segments_resumed"]
    assert machine.show(SERVICE, "MainPID") == pid


def test_the_watchdog_restarts_a_frozen_daemon(machine: Machine, long: Path) -> None:
    """A daemon that hangs is ended by the watchdog and started again, and the film goes on."""
    pid = machine.show(SERVICE, "MainPID")
    drop(machine, long, "frozen.mp4")
    machine.wait(lambda: segment_stored(machine), SERVICE, seconds=120)
    machine.run("kill", "-STOP", pid)
    machine.wait(lambda: machine.show(SERVICE, "MainPID") not in (pid, "0"), SERVICE)
    assert "watchdog" in machine.journal(SERVICE).lower()
    report = wait_done(machine, "frozen.mp4")
    assert report["segments_resumed"]


def test_stopped_in_mid_film(machine: Machine, long: Path) -> None:
    """A stop hands the film back in order; the next start goes on with its finished segments."""
    drop(machine, long, "stopped.mp4")
    machine.wait(lambda: segment_stored(machine), SERVICE, seconds=120)
    machine.run("systemctl", "stop", SERVICE)
    assert machine.show(SERVICE, "Result") == "success"
    assert machine.run("pgrep", "-f", "daemon.worker", check=False) == ""
    assert segment_stored(machine)
    machine.run("systemctl", "start", SERVICE)
    report = wait_done(machine, "stopped.mp4")
    assert report["segments_resumed"]


def published(disk: SickShare) -> list[str]:
    """The films on the second disk."""
    return sorted(one.name for one in (disk.disk / "done").glob("*.m[pk][4v]"))


def on_its_way(machine: Machine) -> list[dict[str, object]]:
    """The films that are being published, as everybody is told."""
    told = json.loads(machine.run("cat", f"/run/{SERVICE}/status.json"))
    shown: list[dict[str, object]] = told["publishing"]
    return [one for one in shown if one["bytes_done"]]


@pytest.fixture
def done_elsewhere(machine: Machine, slow_disk: SickShare) -> Iterator[SickShare]:
    """The service with done/ on a slow second disk; afterwards it is as it was."""
    config, before = machine.path(CONFIG), machine.path(CONFIG).read_text()
    settings = yaml.safe_load(before)
    settings["folders"]["done"] = f"{SECOND_DISK}/share/done"
    (slow_disk.disk / "done").mkdir()
    (slow_disk.disk / "done").chmod(0o777)
    dropin = machine.path(f"/etc/systemd/system/{SERVICE}.service.d/50-second-disk.conf")
    dropin.write_text(f"[Service]\nReadWritePaths={SECOND_DISK}/share\n")
    config.write_text(yaml.safe_dump(settings))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", SERVICE)
    slow_disk.fall_ill(Orders("", ("write",), seconds=0.3))
    yield slow_disk
    config.write_text(before)
    dropin.unlink()
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", SERVICE)


def test_a_slow_second_disk(machine: Machine, done_elsewhere: SickShare, short: Path) -> None:
    """While a result is copied there, films are done, and a stop takes seconds."""
    drop(machine, with_attachment(short), "heavy.mkv")
    machine.wait(lambda: bool(on_its_way(machine)), SERVICE, seconds=120)
    assert "heavy.mkv: copying" in ask(machine, "status")
    drop(machine, short, "beside.mp4")
    machine.wait(lambda: states(machine).get("beside.mp4") == "finished", SERVICE, seconds=120)
    assert on_its_way(machine), "the copy ended before the other film was done"
    begun_at = time.monotonic()
    machine.run("systemctl", "stop", SERVICE)
    assert time.monotonic() - begun_at < 20
    assert machine.show(SERVICE, "Result") == "success"
    assert published(done_elsewhere) == []
    done_elsewhere.recover()
    machine.run("systemctl", "start", SERVICE)
    machine.wait(lambda: nothing_left(machine), SERVICE, seconds=120)
    assert published(done_elsewhere) == ["beside.mp4", "heavy.mkv"]


def test_a_power_cut_in_mid_film(machine: Machine, long: Path) -> None:
    """Every process is gone at once; after the boot the service is up and the film goes on."""
    drop(machine, long, "power_cut.mp4")
    machine.wait(lambda: segment_stored(machine), SERVICE, seconds=120)
    machine.pull_the_plug()
    machine.boot()
    report = wait_done(machine, "power_cut.mp4")
    assert report["segments_resumed"]


def test_reload_and_a_wrong_configuration(machine: Machine) -> None:
    """A reload keeps the process and refuses nonsense; a start with nonsense is not tried again."""
    pid = machine.show(SERVICE, "MainPID")
    config = machine.path(CONFIG)
    good = config.read_text()
    config.write_text(good + "\nnonsense: 1\n")
    machine.run("systemctl", "reload", SERVICE, check=False)
    machine.wait(lambda: "nonsense" in machine.journal(SERVICE), SERVICE)
    assert machine.show(SERVICE, "MainPID") == pid
    machine.run("systemctl", "restart", SERVICE, check=False)
    machine.wait(lambda: machine.show(SERVICE, "ActiveState") == "failed", SERVICE)
    assert machine.show(SERVICE, "ExecMainStatus") == "78"
    restarts = machine.show(SERVICE, "NRestarts")
    time.sleep(2)  # longer than RestartSec: that nothing happens has no condition to wait for
    assert machine.show(SERVICE, "NRestarts") == restarts
    config.write_text(good)
    machine.run("systemctl", "reset-failed", SERVICE)
    machine.run("systemctl", "start", SERVICE)
    assert machine.show(SERVICE, "ActiveState") == "active"


def test_a_second_service_beside_it(machine: Machine, python: str, short: Path) -> None:
    """Another inbox gets a service of its own; when one stops the other goes on."""
    install(machine, "--name", "other-films", "--python", python, "--cpu")
    assert machine.show("other-films", "ActiveState") == "active"
    machine.run("systemctl", "stop", "other-films")
    drop(machine, short, "neighbour.mp4")
    wait_done(machine, "neighbour.mp4")
    said = install(machine, "--uninstall", "--purge", "--name", "other-films")
    assert f"for /etc/systemd/system/{SERVICE}.service" in said
    assert machine.show(SERVICE, "ActiveState") == "active"


def test_it_goes_without_a_trace_but_the_films(machine: Machine) -> None:
    """Uninstalling keeps configuration and films; purging keeps the films alone."""
    before = films(machine, "done")
    said = install(machine, "--uninstall")
    (told,) = (line for line in said.splitlines() if line.startswith("films     untouched, in"))
    folders = {f"{ROOT}/{name}" for name in ("inbox", "done", "failed", "originals")}
    assert folders <= set(told.split())  # in any order, and not in /srv/NAME
    assert machine.path(CONFIG).exists()
    units = [f"/etc/systemd/system/{name}.service" for name in (SERVICE, f"{SERVICE}-notify")]
    for gone in ("/opt/subtitle-eraser", *units):
        assert not machine.path(gone).exists()
    assert not machine.path("/usr/local/bin/subtitle-eraser").is_symlink()
    install(machine, "--uninstall", "--purge")
    assert not machine.path(f"/etc/{SERVICE}").exists()
    assert machine.run("id", SERVICE, check=False) == ""
    assert films(machine, "done") == before
