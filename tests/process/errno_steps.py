"""The steps of a job that ``errnos.py`` lets fail, each as the filesystem calls it is made of.

A call is one line of text in which all that differs from film to film is replaced:
``link work/JOB/report.json done/film.mp4.report.json``. ``ErrnoShare`` writes these lines, and a
step is a regular expression that has to match one of them in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

ERRNOS = (
    *("ENOTDIR", "ENAMETOOLONG", "EINVAL", "EILSEQ", "ENOENT", "EACCES", "EISDIR", "ELOOP"),
    *("EROFS", "ENOSPC", "EDQUOT", "EIO", "ESTALE", "EMFILE", "ENOSYS", "ENOTSUP"),
)
STICKY_CALLS = ("open", "create", "fsync", "fsyncdir", "link")
"""Calls that the kernel's FUSE client never makes again, for no file, once told ENOSYS."""


class Duration(StrEnum):
    """How long a fault lasts."""

    ONCE = "once"  # the first call of the step fails
    ALWAYS = "always"  # each call of the step fails
    EVERYTHING = "everything"  # from the first call of the step on, each call about the film fails


class Kind(StrEnum):
    """What a film is like, and where it lies."""

    PLAIN = "plain"  # in the inbox itself
    DEEP = "deep"  # in a sub-folder of its own
    BAD = "bad"  # cannot be erased: it goes to failed/
    BAD_DEEP = "bad-deep"
    CLASH = "clash"  # a stranger takes its name in done/ while it is published
    ACROSS = "across"  # rename and link out of work/ answer EXDEV


class Outcome(StrEnum):
    """Where a film's source is in the end."""

    DONE = "done"  # in originals/, its result in done/
    FAILED = "failed"  # in failed/
    INBOX = "inbox"  # never claimed
    HELD = "held"  # set aside in work/


ANY = tuple(Outcome)
NOT_TAKEN = (Outcome.INBOX, Outcome.HELD, Outcome.FAILED)
"""Results of a claim that never succeeds."""
DONE = (Outcome.DONE,)
FAILED = (Outcome.FAILED,)
NOT_DONE = (Outcome.FAILED, Outcome.HELD)
SET_ASIDE = (*NOT_DONE, Outcome.DONE)
"""Results where a film that is set aside may have its second name in originals/ already."""
OPTIONAL = (Outcome.DONE, Outcome.FAILED)
"""Results where a companion or an attribute that cannot be had may be done without."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job."""

    name: str
    calls: str  # regular expression
    kind: Kind = Kind.PLAIN
    once: tuple[Outcome, ...] = DONE  # outcomes that are right if one call fails
    always: tuple[Outcome, ...] = FAILED  # and if each does

    def expressible(self, error: str) -> bool:
        """Return True unless the kernel keeps ``error`` of this call from the program."""
        return error != "ENOSYS" or not any(call in self.calls for call in STICKY_CALLS)

    def allowed(self, error: str, duration: Duration) -> tuple[Outcome, ...]:
        """Return the outcomes that are right."""
        if duration is Duration.EVERYTHING:
            return ANY
        if duration is Duration.ALWAYS:
            return self.always
        if error in PLAIN_ANSWERS and self.name in SENDERS_FILES:
            return (*self.once, Outcome.FAILED)
        return self.once


PLAIN_ANSWERS = ("ENOTDIR", "ENAMETOOLONG", "ENOENT", "EACCES", "EISDIR", "ELOOP")
"""Errnos that say what is wrong with a file; one is believed at once where a sender named it."""
SENDERS_FILES = (
    *("claim.mask-stat", "claim.mask-open", "settle.settings.getattr", "settle.settings.open"),
    "settle.settings.read",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One step with one errno for one duration."""

    step: Step
    error: str
    duration: Duration

    def __str__(self) -> str:
        return f"{self.step.name} {self.error} {self.duration}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the film of a case."""

    case: Case
    outcome: str  # where its source was while the fault lasted
    wrong: tuple[str, ...] = ()  # kinds of what is wrong
    detail: str = ""


GONE_FOR_GOOD = ("claim.mask-stat", "claim.mask-open")
"""Steps that cannot tell from one ENOENT that the file is there after all."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the calls about one film."""

    film: str  # its token, part of its name
    calls: str
    error: str
    duration: Duration
    kind: Kind

    @classmethod
    def of(cls, raw: Mapping[str, str]) -> Fault:
        """Return the fault that ``asdict`` has made ``raw`` of."""
        duration, kind = Duration(raw["duration"]), Kind(raw["kind"])
        return cls(raw["film"], raw["calls"], raw["error"], duration, kind)


def _each(name: str, calls: str, path: str, **fields: object) -> Iterator[Step]:
    """Yield a step for each of the ``calls`` (names, separated by spaces) with ``path``."""
    for call in calls.split():
        goal = " .*" if call == "rename" else ""
        yield Step(f"{name}.{call}", f"{call} {path}{goal}", **fields)  # type: ignore[arg-type]


def _inbox() -> Iterator[Step]:
    """Yield the steps before a claim."""
    yield Step("inbox.list", "readdir inbox/film", Kind.DEEP, always=NOT_TAKEN)
    yield Step("inbox.folder", "getattr inbox/film", Kind.DEEP, always=NOT_TAKEN)
    yield Step("inbox.stat", r"getattr inbox/film\.mp4", always=NOT_TAKEN)
    yield Step("inbox.settings-stat", r"getattr inbox/film\.mp4\.erase\.yaml", always=ANY)
    yield Step("inbox.settings-open", r"open inbox/film\.mp4\.erase\.yaml", always=ANY)
    yield Step("inbox.settings-read", r"read inbox/film\.mp4\.erase\.yaml", always=ANY)
    yield Step("inbox.cues-stat", r"getattr inbox/film\.srt", always=ANY)


def _claim() -> Iterator[Step]:
    """Yield the steps of a claim."""
    yield Step("claim.mkdir", "mkdir work/JOB", always=NOT_TAKEN)
    yield Step("claim.log", "create work/JOB/log", always=NOT_TAKEN)
    yield Step("claim.film", r"rename inbox/film\.mp4 .*", always=NOT_TAKEN)
    yield Step("claim.film-deep", r"rename inbox/film/film\.mp4 .*", Kind.DEEP, always=NOT_TAKEN)
    yield Step("claim.sync-inbox", "fsyncdir inbox/film", Kind.DEEP, always=ANY)
    yield Step("claim.sync", "fsyncdir work/JOB", always=ANY)
    yield Step("claim.settings", r"rename inbox/film\.mp4\.erase\.yaml .*", always=ANY)
    yield Step("claim.cues", r"rename inbox/film\.srt .*", always=ANY)
    yield Step("claim.mask-stat", r"getattr inbox/masks/film\.png")
    yield Step("claim.mask-open", r"open inbox/masks/film\.png")
    yield Step("claim.mask-read", r"read inbox/masks/film\.png")
    yield from _each("claim.mask", "create write fsync rename", r"work/JOB/\.mask\.part")
    yield Step("settle.stat", r"getattr work/JOB/source\.mp4", always=NOT_TAKEN)
    yield Step("settle.folder", "getattr work/JOB", always=NOT_TAKEN)
    # A file that is listed and cannot be found otherwise keeps its film from failed/.
    yield from _each(
        "settle.settings", "getattr open read", r"work/JOB/settings\.yaml", always=NOT_DONE
    )


def _job_file() -> Iterator[Step]:
    """Yield the steps that replace ``job.json``, by the state that is written."""
    part = r"work/JOB/\.job\.json\.part"
    yield from _each("job", "create fsync rename", part, always=ANY)
    for state in ("claiming", "claimed", "queued", "running", "finished", "planned", "done"):
        right = NOT_TAKEN if state == "claiming" else ANY if state == "done" else NOT_DONE
        yield Step(f"job.{state}", f"write {part} {state}", always=right)
    for state in ("rejected", "planned-rejected", "failed"):
        yield Step(f"job.{state}", f"write {part} {state}", Kind.BAD, FAILED, NOT_DONE)


def _attempt() -> Iterator[Step]:
    """Yield the steps of an attempt, of the daemon and of its worker."""
    yield from _each("attempt.log", "open write", "work/JOB/log", always=OPTIONAL)
    yield from _each("source", "open read", r"work/JOB/source\.mp4", always=NOT_DONE)
    yield Step("worker.segments", "mkdir work/JOB/segments")
    yield from _each("worker.segment", "create write rename", r"work/JOB/segments/0000\.part")
    yield from _each("worker.result", "create write read", r"work/JOB/result\.mp4")
    yield from _each("finish.report", "create write rename", r"work/JOB/\.report\.json\.part")


def _publish() -> Iterator[Step]:
    """Yield the steps of publishing into done/ and originals/."""
    yield Step("publish.names", r"getattr done/film.*\.mp4", always=NOT_DONE)
    yield Step("publish.sidecar-names", r"getattr done/film.*\.mp4\.report\.json", always=NOT_DONE)
    # A link whose answer is lost is there all the same, and the job is set aside.
    yield Step("publish.original-names", r"getattr originals/film.*\.mp4", always=SET_ASIDE)
    yield Step("publish.mkdir", "mkdir done/film", Kind.DEEP)
    yield Step("publish.mkdir-originals", "mkdir originals/film", Kind.DEEP, always=NOT_DONE)
    yield Step("publish.sync", "fsyncdir done/film", Kind.DEEP, always=ANY)
    for file in ("mp4.report.json", "mp4.log", "mp4.preview.jpg", "und.srt"):
        name = file.split(".")[1]
        calls = rf"(link|rename) .* done/film.*\.{file}"
        yield Step(f"publish.{name}", calls, always=FAILED if name == "report" else OPTIONAL)
    yield Step("publish.film", r"(link|rename) .* done/film[^.]*\.mp4")
    yield Step("publish.settings", r"(link|rename) .* originals/film.*\.erase\.yaml", always=ANY)
    yield Step("publish.cues", r"(link|rename) .* originals/film.*\.srt", always=ANY)
    yield Step("publish.original", r"(link|rename) .* originals/film[^.]*\.mp4", always=NOT_DONE)
    yield Step("publish.unlink", "unlink work/JOB/.*", always=ANY)
    yield Step("publish.chmod", "chmod .*", always=OPTIONAL)


def _undo() -> Iterator[Step]:
    """Yield the steps of taking back what has been published under a name that is taken."""
    kind = Kind.CLASH
    yield Step("undo.move", "(link|rename) done/film.* work/JOB/.*", kind, always=NOT_DONE)
    yield Step("undo.unlink", "unlink done/film.*", kind, always=ANY)
    yield Step("undo.names", "getattr work/JOB/report.json", kind, always=ANY)


def _reject() -> Iterator[Step]:
    """Yield the steps of moving a film that cannot be done into failed/."""
    bad = Kind.BAD
    part = r"work/JOB/\.error\.json\.part"
    for step in _each("reject.explanation", "create write rename", part):
        yield Step(step.name, step.calls, bad, FAILED, NOT_DONE)
    for file in ("error.json", "log", "erase.yaml"):
        name = file.partition(".")[0]
        calls = rf"(link|rename) .* failed/film.*\.mp4\.{file}"
        yield Step(f"reject.{name}", calls, bad, FAILED, NOT_DONE)
    yield Step("reject.cues", r"(link|rename) .* failed/film.*\.srt", bad, FAILED, NOT_DONE)
    yield Step("reject.film", r"(link|rename) .* failed/film[^.]*\.mp4", bad, FAILED, NOT_DONE)
    yield Step("reject.names", r"getattr failed/film.*", bad, FAILED, NOT_DONE)
    yield Step("reject.unlink", "unlink work/JOB/.*", bad, FAILED, NOT_DONE)
    yield Step("reject.mkdir", "mkdir failed/film", Kind.BAD_DEEP, FAILED, NOT_DONE)
    yield Step("reject.sync", "fsyncdir failed/film", Kind.BAD_DEEP, FAILED, NOT_DONE)


def _discard() -> Iterator[Step]:
    """Yield the steps of removing the folder of a job that has ended."""
    gone = r"work/\.gone-JOB"
    yield Step("discard.rename", f"rename work/JOB {gone}", always=DONE)
    yield Step("discard.list", f"readdir {gone}", always=DONE)
    yield Step("discard.unlink", f"unlink {gone}/.*", always=DONE)
    yield Step("discard.rmdir", f"rmdir {gone}", always=DONE)


def _copy() -> Iterator[Step]:
    """Yield the steps of publishing to another filesystem."""
    kind = Kind.ACROSS
    for place, right in (("done", FAILED), ("originals", NOT_DONE)):
        part = rf"{place}/\.JOB\.part"
        for step in _each(f"copy.{place}", "create write fsync read", part, always=right):
            yield Step(step.name, step.calls, kind, always=right)
        yield Step(f"copy.{place}.rename", f"(link|rename) {part} .*", kind, always=right)
        yield Step(f"copy.{place}.unlink", f"unlink {part}", kind, always=ANY)
    yield Step("copy.source", r"read work/JOB/result\.mp4", kind, always=NOT_DONE)
    yield Step("copy.remove", r"unlink work/JOB/.*", kind, always=ANY)


STEPS = (
    *(*_inbox(), *_claim(), *_job_file(), *_attempt(), *_publish()),
    *(*_undo(), *_reject(), *_discard(), *_copy()),
)

STATE_FILM = "c9999"
"""Token that the state folder has in its name, so that faults can be ordered for it."""


def _state() -> Iterator[Step]:
    """Yield the steps of keeping the history: of opening it at a start, and of writing to it."""
    for call in ("getattr", "open", "create", "read", "write", "fsync", "truncate", "unlink"):
        yield Step(f"state.{call}.starting", f"{call} film/.*")
    yield Step("state.all.starting", r"\w+ film/.*")
    yield Step("state.write.running", "write film/.*")
    yield Step("state.all.running", r"\w+ film/.*")


STATE_STEPS = tuple(_state())
