"""Choice of the next film: by priority, then age, as far as memory and space allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import structlog
from ulid import ULID

from daemon.dispatch.admission import MemoryAdmission, Shortage, SpaceAdmission
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.inbox.settling import Candidate
from daemon.jobs.isolation import ATTEMPT
from daemon.jobs.job import Job
from daemon.jobs.job_parts import JobParts
from daemon.jobs.retry import yields_to_others
from daemon.runtime.host_problems import HostProblems
from daemon.workers.process import Supervisor
from erasecore.errors import ClaimRefused, printable

log = structlog.get_logger(__name__)

MAX_OVERTAKING_SECONDS = 600.0
"""Time during which smaller films may overtake one that waits for memory, in seconds; a guess.
After that no film begins before it."""


class FilmSelection:
    """Merges the queued jobs and the candidates of the inbox into one order of films.

    A candidate is claimed only when it is the next film and a worker is free for it. Until then it
    stays in the inbox, where other daemons may claim it.
    """

    def __init__(
        self,
        jobs: JobParts,
        queue: CandidateQueue,
        memory: MemoryAdmission,
        space: SpaceAdmission,
        problems: HostProblems,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._memory = memory
        self._space = space
        self._problems = problems
        self.shortage = ""  # sentence: the memory or space that the next film waits for
        self._waits_since: dict[str, float] = {}  # job id -> first refused for lack of memory
        self._overtaken = ("", 0.0)  # candidate that waits for space, and since when

    def reset_shortage(self) -> None:
        """Forget the shortage of the turn before."""
        self.shortage = ""

    def waiting(self, *, now: float, wall: float) -> int:
        """Return how many films could begin now if there were workers for all of them.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        return len(self._due(now, wall)) + len(self._queue.candidates)

    def _due(self, now: float, wall: float) -> list[Job]:
        """Return the queued jobs that may begin now, in their order."""
        isolation = self._jobs.isolation
        due = self._jobs.store.due(wall=wall)
        return [job for job in due if isolation.due(job.job_id, now=now)]

    def next_job(self, worker: Supervisor, *, now: float, wall: float) -> Job | None:
        """Return the job that goes next, claimed from the inbox if necessary; None if none can.

        Args:
            worker: idle worker that is to have the film.
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            FolderError: free space cannot be read.
        """
        while (film := self._first_that_fits(worker, now, wall)) is not None:
            if self._problems.blocked(now=now):  # a folder turned out to be broken just now
                return None
            if self._jobs.isolation.lost:  # else a job that was taken over would come for ever
                return None
            if isinstance(film, Candidate):
                if self._jobs.claimer.busy:
                    return None
                self.claim(film, str(ULID()).lower(), now=now, wall=wall)
            elif not self._refused(film, now, wall):
                self._waits_since.pop(film.job_id, None)
                return film
        return None

    def fits_new_worker(self, *, now: float, wall: float) -> bool:
        """Return True if there is a film for one more worker, and memory for it."""
        return self._first_that_fits(None, now, wall) is not None

    def _in_order(self, now: float, wall: float) -> Iterator[Job | Candidate]:
        """Yield the due jobs and one candidate, the one that goes first first.

        Jobs that a person prefers come first. Then priority counts. At equal priority jobs come
        before the candidate, except those that have failed before and yield to other films.
        """
        candidate = self._next_candidate(now)
        candidates = [candidate] if candidate is not None else []
        return merged(self._due(now, wall), candidates, self._queue.priority, wall=wall)

    def planned(self, *, now: float, wall: float) -> Iterator[Job | Candidate]:
        """Yield all due jobs and all candidates in the order in which they will begin.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        return merged(self._due(now, wall), self._queue.candidates, self._queue.priority, wall=wall)

    def _first_that_fits(
        self, worker: Supervisor | None, now: float, wall: float
    ) -> Job | Candidate | None:
        """Return the first film for which there is memory; None if there is none.

        A smaller film may overtake one that does not fit, for ``MAX_OVERTAKING_SECONDS``.
        """
        for film in self._in_order(now, wall):
            pixels = film.pixels if isinstance(film, Job) else 0
            lacking = self._memory.lacking_bytes(pixels, worker)
            if not lacking:
                self._problems.clear("memory")
                return film
            self._report_shortage("memory", self._memory.shortage(lacking), now)
            if isinstance(film, Candidate):
                return None  # the size is unknown, so the films behind it are taken to be as large
            if now - self._waits_since.setdefault(film.job_id, now) > MAX_OVERTAKING_SECONDS:
                return None
        return None

    def _next_candidate(self, now: float) -> Candidate | None:
        """Return the first candidate for which there is disk space; None if there is none.

        Films that fit may overtake one that waits for space; for ``MAX_OVERTAKING_SECONDS`` if
        films at work will release it, else without a limit. A film that could never fit counts as
        fitting: its claim, a rename, takes no space, and then it is refused.
        """
        first = self._queue.best()
        if first is None:
            self._problems.clear("space")
            return None
        budget = self._space.budget()
        now_bytes, ever_bytes = budget.largest_now, budget.largest_ever
        shortage = budget.shortage(first.name, first.signature.size_bytes)
        if shortage is None or first.signature.size_bytes > ever_bytes:
            self._problems.clear("space")
            return first
        if self._overtaken[0] != first.name:
            self._overtaken = (first.name, now)
        if shortage.passes and now - self._overtaken[1] > MAX_OVERTAKING_SECONDS:
            self._report_shortage("space", shortage, now)
            return None
        fitting = (
            film
            for film in self._queue.candidates
            if not now_bytes < film.signature.size_bytes <= ever_bytes
        )
        found = next(fitting, None)
        self._report_shortage("space", shortage, now, pauses=found is None)
        return found

    def _refused(self, job: Job, now: float, wall: float) -> bool:
        """Return True if a job that nobody has begun can never fit on the disks; give it up."""
        if job.attempts:
            return False
        error = self._space.budget().refusal(job.name, job.size_bytes)
        if error is None:
            return False
        refuse = partial(self._jobs.attempts.refuse, job, error, wall=wall)
        self._jobs.isolation.run(job, ATTEMPT, refuse, now=now, wall=wall)
        return True

    def _report_shortage(
        self, subject: str, shortage: Shortage, now: float, *, pauses: bool = True
    ) -> None:
        """Report a shortage: as a note if it passes, else as a host problem, logged once.

        A lack of space is looked at again in each turn, since a smaller film may come: it counts as
        a pause only while no film is held and none fits.
        """
        if shortage.passes:
            self.shortage = shortage.sentence
            self._problems.clear(subject)
        elif subject == "space":
            pauses = pauses and not self._jobs.store.jobs
            sentence = shortage.sentence
            self._problems.report(
                subject, sentence, now=now, pause_seconds=0.0, pauses=pauses, kind=subject
            )
        else:
            self._problems.report(subject, shortage.sentence, now=now, kind=subject)

    def claim(self, candidate: Candidate, job_id: str, *, now: float, wall: float) -> Job | None:
        """Claim a film of the inbox; return its job, None if it was not to be had.

        If that is refused, the other films do not wait for it.

        Args:
            candidate: a settled film.
            job_id: id of the new job.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        self._queue.take(candidate)
        try:
            job = self._jobs.claimer.claim(candidate, job_id, now=now, wall=wall)
        except ClaimRefused as error:
            log.debug("claim.put_off", film=printable(candidate.name), sentence=str(error))
            self._queue.refused(candidate, error, now=now)
            return None
        if job is None:
            self._queue.request_rescan()
        else:
            self._queue.taken(candidate)
        return job


def merged(
    jobs: Iterable[Job],
    candidates: Iterable[Candidate],
    priority_of: Callable[[Candidate], int],
    *,
    wall: float,
) -> Iterator[Job | Candidate]:
    """Yield jobs and candidates, each in their own order, in the order in which they begin.

    Args:
        jobs: due jobs in their order.
        candidates: films of the inbox in their order.
        priority_of: returns a candidate's priority.
        wall: seconds since 1970.
    """
    waiting = iter(candidates)
    candidate = next(waiting, None)
    for job in jobs:
        while candidate is not None and _goes_before(job, priority_of(candidate), wall):
            yield candidate
            candidate = next(waiting, None)
        yield job
    if candidate is not None:
        yield candidate
        yield from waiting


def _goes_before(job: Job, candidate_priority: int, wall: float) -> bool:
    """Return True if a candidate of this priority goes before ``job``."""
    priority = job.settings.priority
    yields = candidate_priority == priority and yields_to_others(job, wall=wall)
    return yields or (candidate_priority > priority and not job.preferred_at)
