"""Report of the queue for the status: order, why each film waits, when it will be done."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from daemon.config.schema import Config
from daemon.inbox.settling import Candidate
from daemon.jobs.job import Job, JobState
from daemon.jobs.speeds import seconds_per_byte
from daemon.lifecycle.forecast import Conditions, ends_of_waiting, remaining_seconds
from daemon.lifecycle.instance_parts import InstanceParts, SharedParts
from daemon.status.queue_view import MAX_QUEUED, FilmStanding, QueuedFilm, QueueView
from daemon.status.snapshot import HeldFilm
from daemon.workers.process import WorkerState
from erasecore.errors import printable


class QueueReporter:
    """Makes views of the queue; it holds nothing but the parts that it asks."""

    def __init__(self, shared: SharedParts, config: Config) -> None:
        self._shared = shared
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the working hours of ``config`` from now on."""
        self._hours = config.schedule.hours

    def view(
        self,
        parts: InstanceParts,
        held: tuple[HeldFilm, ...],
        *,
        blocked: bool,
        now: float,
        wall: float,
    ) -> QueueView:
        """Return the queue as it is now.

        Args:
            parts: the parts of our instance folder.
            held: films that wait for a try or cannot be taken.
            blocked: a problem of the host keeps the queue from going on.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        speeds = self._shared.history.speeds()
        speed = seconds_per_byte(speeds)
        at_work, free_at = _at_work(parts, speed, wall)
        order = list(islice(parts.selection.planned(now=now, wall=wall), MAX_QUEUED))
        ends = _ends(order, free_at, speed, self._conditions(blocked=blocked, wall=wall))
        all_ends = [*(film.ends_at for film in at_work), *ends]
        if rest_bytes := self._rest_bytes(order):
            all_ends.append(_end_of_rest(rest_bytes, ends, speed, workers=len(free_at)))
        others = [*_left(self._shared), *map(_held, held)]
        waiting = _waiting(order, ends, self._reason(parts, wall))
        return QueueView(
            films=tuple(islice(chain(at_work, waiting, others), MAX_QUEUED)),
            count=len(at_work) + parts.selection.waiting(now=now, wall=wall) + len(others),
            arriving=self._shared.queue.inbox.waiting,
            ends_at=_latest(all_ends),
            measured_films=len(speeds),
        )

    def _rest_bytes(self, order: list[Job | Candidate]) -> int:
        """Return the size in bytes of the films of the inbox that ``order`` has no room for."""
        if len(order) < MAX_QUEUED:
            return 0
        listed = sum(_size_of(film) for film in order if isinstance(film, Candidate))
        return sum(film.signature.size_bytes for film in self._shared.queue.candidates) - listed

    def _conditions(self, *, blocked: bool, wall: float) -> Conditions:
        pause = self._shared.steering.pauses.current(wall=wall)
        until = pause.until if pause is not None else None
        return Conditions(
            wall, self._hours, paused=pause is not None, paused_until=until, blocked=blocked
        )

    def _reason(self, parts: InstanceParts, wall: float) -> str:
        """Return why the next film does not begin now."""
        if self._shared.steering.pauses.current(wall=wall) is not None:
            return "the queue is paused"
        trouble = self._shared.problems.sentence()
        busy = parts.workers.in_state(WorkerState.BUSY, WorkerState.LOADING)
        if parts.dispatcher.idle_reason:
            return parts.dispatcher.idle_reason
        if busy:
            return "every worker is at a film" if len(busy) > 1 else "the worker is at a film"
        return trouble or "begins as soon as a worker is ready"


def _ends(
    order: list[Job | Candidate],
    free_at: list[float | None],
    speed: float | None,
    conditions: Conditions,
) -> list[float | None]:
    """Return the estimated ends of the waiting films; None for all if nothing was measured."""
    known = [end for end in free_at if end is not None]
    if speed is None or len(known) < len(free_at):
        return [None] * len(order)
    return list(ends_of_waiting(map(_size_of, order), known, speed, conditions))


def _end_of_rest(
    rest_bytes: int, ends: list[float | None], speed: float | None, *, workers: int
) -> float | None:
    """Return the estimated end of the films behind those in ``ends``; None: not known.

    Their time is divided among the workers evenly, and working hours are not looked at.
    """
    last = ends[-1]
    if speed is None or last is None:
        return None
    return last + rest_bytes * speed / workers


def _size_of(film: Job | Candidate) -> int:
    return film.size_bytes if isinstance(film, Job) else film.signature.size_bytes


def _at_work(
    parts: InstanceParts, speed: float | None, wall: float
) -> tuple[list[QueuedFilm], list[float | None]]:
    """Return the films at work, and when each worker is free: None if that is not known."""
    films: list[QueuedFilm] = []
    free_at: list[float | None] = []
    for worker in parts.workers:
        job = parts.jobs.store.jobs.get(worker.job_id)
        if job is None or job.state is not JobState.RUNNING:
            free_at.append(wall)
            continue
        share = worker.progress.job_share if worker.progress is not None else 0.0
        elapsed = max(0.0, wall - job.attempts[-1].started_at)
        remaining = remaining_seconds(elapsed, share, job.size_bytes, speed)
        end = None if remaining is None else wall + remaining
        free_at.append(end)
        films.append(_of_job(job, FilmStanding.AT_WORK, f"{share:.0%} done", end))
    return films, free_at


def _of_job(job: Job, standing: FilmStanding, reason: str, end: float | None) -> QueuedFilm:
    return QueuedFilm(
        film=printable(job.name),
        standing=standing,
        reason=reason,
        job_id=job.job_id,
        size_bytes=job.size_bytes,
        preferred=job.preferred_at > 0,
        ends_at=_rounded(end),
    )


def _waiting(
    order: list[Job | Candidate], ends: list[float | None], reason: str
) -> Iterator[QueuedFilm]:
    """Yield the waiting films; ``reason``: why the first of them waits."""
    for film, end in zip(order, ends, strict=True):
        if isinstance(film, Job):
            yield _of_job(film, FilmStanding.WAITING, reason, end)
        else:
            size_bytes = film.signature.size_bytes
            yield QueuedFilm(
                film=printable(film.name),
                standing=FilmStanding.WAITING,
                reason=reason,
                size_bytes=size_bytes,
                ends_at=_rounded(end),
            )
        reason = "goes after the films above it"


def _left(shared: SharedParts) -> Iterator[QueuedFilm]:
    """Yield the films that were handed back and are in the inbox."""
    for name, film in sorted(shared.steering.left.waiting.items()):
        reason = "was handed back, and is left alone; `prefer` takes it again"
        size_bytes = film.signature.size_bytes
        yield QueuedFilm(printable(name), FilmStanding.HELD, reason, size_bytes=size_bytes)


def _held(held: HeldFilm) -> QueuedFilm:
    waits = held.retry_at is not None
    standing = FilmStanding.DELAYED if waits else FilmStanding.HELD
    return QueuedFilm(held.film, standing, held.sentence, held.job_id)


def _latest(ends: list[float | None]) -> float | None:
    """Return the latest of ``ends``; None if one of them is not known, or there is none."""
    known = [end for end in ends if end is not None]
    return round(max(known), 1) if known and len(known) == len(ends) else None


def _rounded(end: float | None) -> float | None:
    return None if end is None else round(end, 1)
