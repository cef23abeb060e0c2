"""What is written beside a film in ``done/`` and ``failed/``: ``report.json``, ``error.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from daemon.jobs.history_view import Entry
from daemon.jobs.job import Job
from daemon.storage.atomic import write_whole
from daemon.storage.names import shown
from daemon.workers.messages import Finished

REPORT_FILE = "report.json"
ERROR_FILE = "error.json"
PREVIEW_FILE = "preview.jpg"
SRT_FILE = "subtitles.srt"
SRT_ENDING = ".srt"


def write_report(folder: Path, job: Job, outcome: Finished, versions: dict[str, str]) -> None:
    """Put everything worth knowing about a finished film into the job's folder."""
    content = {
        **_about(job),
        "source_sha256": outcome.source_sha256,
        "result_sha256": outcome.result_sha256,
        "untouched": outcome.report.untouched,
        "report": asdict(outcome.report),
        "versions": versions,
        "history": asdict(entry_of(job, "done", outcome)),
    }
    write_whole(folder / REPORT_FILE, _text(content))


def write_error(folder: Path, job: Job) -> None:
    """Put everything worth knowing about a rejected film into the job's folder."""
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


def entry_of(job: Job, outcome: str, finished: Finished | None = None) -> Entry:
    """The job as the history remembers it."""
    last = job.attempts[-1] if job.attempts else None
    stopped_at = last.stopped_at or last.started_at if last else job.claimed_at
    return Entry(
        job_id=job.job_id,
        name=shown(job.name),
        outcome=outcome,
        published_as="",  # known once it is published
        stopped_at=stopped_at,
        attempts=len(job.attempts),
        seconds=round(stopped_at - last.started_at, 3) if last else 0.0,
        frames=finished.report.frames if finished else 0,
        events=len(finished.report.events) if finished else 0,
        sentence=job.failure.sentence if job.failure else "",
    )


def _about(job: Job) -> dict[str, object]:
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
        "source": shown(job.name),
        "size_bytes": job.size_bytes,
        "claimed": _iso(job.claimed_at),
        "attempts": attempts,
        "settings": asdict(job.settings),
    }


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None


def _text(content: dict[str, object]) -> bytes:
    """JSON that people can read; what is no Unicode in a name comes out as JSON's own escape."""
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
