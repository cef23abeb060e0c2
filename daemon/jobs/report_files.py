"""Reports that are published beside a film: ``report.json`` in done/, ``error.json`` in failed/."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from daemon.jobs.history_view import Content, Entry
from daemon.jobs.job import Job
from daemon.workers.messages import Finished
from erasecore.errors import printable
from erasecore.system.atomic_files import write_whole

# Names in the job folder.
REPORT_FILE = "report.json"
ERROR_FILE = "error.json"
PREVIEW_FILE = "preview.jpg"
SRT_FILE = "subtitles.srt"  # the erased text

SRT_ENDING = ".srt"
"""End of the name of the file with a result's erased text."""


def write_report(folder: Path, job: Job, outcome: Finished, versions: dict[str, str]) -> None:
    """Write ``report.json`` of a finished job into its folder.

    Args:
        folder: the job folder.
        job: the job in state FINISHED.
        outcome: the worker's message.
        versions: versions of libraries and names of devices, by their names.
    """
    content = {
        **_about(job),
        "source_sha256": outcome.source_sha256,
        "result_sha256": outcome.result_sha256,
        "untouched": outcome.report.untouched,
        "report": asdict(outcome.report),
        "versions": versions,
        "history": asdict(entry_of(job, "done")),
    }
    write_whole(folder / REPORT_FILE, _text(content))


def write_duplicate_report(folder: Path, job: Job, twin: Content) -> None:
    """Write ``report.json`` of a job that is not worked on: ``twin`` has the same content."""
    content = {
        **_about(job),
        "duplicate_of": {"job_id": twin.job_id, "published_as": printable(twin.published_as)},
        "source_sha256": "",  # this job has no result that could be named for its content
        "history": asdict(entry_of(job, "done")),
    }
    write_whole(folder / REPORT_FILE, _text(content))


def write_error(folder: Path, job: Job) -> None:
    """Write ``error.json`` of a rejected job into its folder."""
    assert job.failure is not None
    content = {
        "sentence": job.failure.sentence,
        "remedy": job.failure.remedy,
        "error": job.failure.error,
        **_about(job),
        "detail": job.failure.detail,
        "history": asdict(entry_of(job, "failed")),
    }
    write_whole(folder / ERROR_FILE, _text(content))


def entry_of(job: Job, outcome: str, published_as: str = "") -> Entry:
    """Return the history entry of an ended job.

    Args:
        job: the job.
        outcome: "done" or "failed".
        published_as: path of the film below done/ or failed/; "" in the report itself, whose own
            name tells it.
    """
    last = job.attempts[-1] if job.attempts else None
    stopped_at = last.stopped_at or last.started_at if last else job.claimed_at
    return Entry(
        job_id=job.job_id,
        name=printable(job.name),
        outcome=outcome,
        published_as=published_as,
        stopped_at=stopped_at,
        attempts=len(job.attempts),
        seconds=round(stopped_at - last.started_at, 3) if last else 0.0,
        frames=job.frames,
        events=job.events,
        sentence=job.failure.sentence if job.failure else "",
    )


def _about(job: Job) -> dict[str, object]:
    """Return the entries that both reports have: source, settings, attempts."""
    attempts = [
        {
            "number": attempt.number,
            "started": _iso(attempt.started_at),
            "stopped": _iso(attempt.stopped_at),
            "counted": attempt.counted,
            "error": attempt.failure.error if attempt.failure else None,
            "sentence": attempt.failure.sentence if attempt.failure else None,
        }
        for attempt in job.attempts
    ]
    return {
        "job_id": job.job_id,
        "source": printable(job.name),
        "size_bytes": job.size_bytes,
        "claimed": _iso(job.claimed_at),
        "attempts": attempts,
        "settings": asdict(job.settings),
    }


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None


def _text(content: dict[str, object]) -> bytes:
    r"""Return indented JSON as UTF-8; surrogate escapes in names become ``\udcxx``."""
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
