"""Error classes; the remedy of each one says who can correct it: sender, operator, nobody or us.

Retry, exit code, target folder and alert follow from the class and its remedy; no code parses the
text. The text names the file or place and the next step, so that it can be shown unchanged.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers for a full disk or an exhausted quota."""
AWAY = (
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV),
    *(errno.ENXIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO),
    *(errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENOLINK, errno.ECOMM),
    *(errno.EPIPE, errno.ESHUTDOWN, errno.EPROTO, errno.EROFS),
)
"""Error numbers for a failing disk or an unreachable share; the film itself is not at fault."""


class Remedy(StrEnum):
    """Person or action that can correct an error."""

    RETRY = "retry"  # nobody: try again later
    FIX_INPUT = "fix-input"  # the sender of the file
    FIX_HOST = "fix-host"  # the operator: disk, weights, GPU, permissions
    FIX_CODE = "fix-code"  # the developers


class EraseError(Exception):
    """Base of all our errors; ``str(error)`` is a sentence for the person who can correct it."""

    remedy: ClassVar[Remedy] = Remedy.FIX_CODE

    def __reduce__(self) -> tuple[object, ...]:
        """Return the parts for pickle and copy: ``__init__`` takes others than ``args``."""
        return _without_init, (type(self), self.args), self.__dict__ or None


def _without_init(kind: type[EraseError], args: tuple[object, ...]) -> EraseError:
    """Return an error with these ``args``; ``__init__``, which makes the text, is not called."""
    return kind.__new__(kind, *args)


class InputError(EraseError):
    """The film, or a file beside it, cannot be used; the sender must send a better one.

    Args:
        path: the file.
        sentence: the problem and the next step; the file's name is put before it.
    """

    remedy = Remedy.FIX_INPUT
    may_be_unfinished: ClassVar[bool] = False  # True: a film still being copied fails like this too

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        self.sentence = sentence
        super().__init__(f"{printable(path.name)}: {sentence}")


def printable(text: str) -> str:
    r"""Return ``text`` on one line with unprintable characters escaped, for logs and terminals.

    Control characters become e.g. ``\n`` or ``\x1b``, and bytes that are not UTF-8 (surrogate
    escapes, PEP 383) become ``\xff``: the name of a file cannot forge a log line.
    """
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte, e.g. from a foreign JSON file
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --- the film ---------------------------------------------------------------------------------


class EmptyFile(InputError):
    """The file has no bytes."""

    may_be_unfinished = True

    def __init__(self, path: Path) -> None:
        super().__init__(path, "the file is empty (0 bytes); copy it again.")


class NotAVideo(InputError):
    """No known film container was recognised."""

    may_be_unfinished = True

    def __init__(self, path: Path, detail: str = "") -> None:
        why = f" ({detail})" if detail else ""
        super().__init__(
            path,
            f"not a film container we read{why}; send mp4, mkv, mov, webm, avi, ts or similar.",
        )


class NoVideoStream(InputError):
    """The container holds sound, pictures or text, but no film."""

    may_be_unfinished = True

    def __init__(self, path: Path, detail: str = "it holds no video stream") -> None:
        super().__init__(path, f"{detail}; send the file that has the picture.")


class TruncatedVideo(InputError):
    """The film ends (or breaks) before it should."""

    may_be_unfinished = True

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(path, f"the film is cut short or damaged ({detail}); copy it again.")


class EncryptedVideo(InputError):
    """The streams are encrypted (DRM)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "the film is encrypted; send a copy without DRM.")


class UnknownCodec(InputError):
    """The video codec cannot be decoded here, or is none of those that films use."""

    def __init__(self, path: Path, codec: str) -> None:
        super().__init__(path, f"no decoder for its video codec ({codec}); convert it to H.264.")


class StreamsNotCopyable(InputError):
    """The sound or another stream cannot be copied into the result: its parameters are invalid."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            path,
            f"its sound or another stream cannot be copied ({reason}); it may be damaged: send the "
            "film again, or convert it to .mkv.",
        )


class LimitExceeded(InputError):
    """The film exceeds one of the operator's limits."""

    def __init__(self, path: Path, quantity: str, found: float, limit: float, key: str) -> None:
        super().__init__(
            path,
            f"{quantity} is {found:g}, above the limit of {limit:g}; send a smaller film, "
            f"or let the operator raise {key}.",
        )


class FilmTooLarge(InputError):
    """The film needs more disk space than one of the disks has in all."""

    def __init__(self, path: Path, needed_mb: int, total_mb: int, where: str) -> None:
        super().__init__(
            path,
            f"it needs {needed_mb} MB of space on {where}, which has {total_mb} MB in all; send a "
            "smaller film, or let the operator use a larger disk or lower folders.free_factor. (A "
            "file with holes may take less space than its size says: copy it again.)",
        )


class UnreadableFile(InputError):
    """The service has no permission to read the film, or a file that came with it."""

    def __init__(self, path: Path, user: int, *, what: str = "it") -> None:
        super().__init__(
            path,
            f"{what} cannot be read by user {user}; give it the right (chmod a+r, or chown), then "
            "try again (daemon: requeue the film).",
        )


class ChangingVideo(InputError):
    """The picture's size or format changes in the middle of the film."""

    def __init__(self, path: Path, frame: int, before: str, after: str) -> None:
        super().__init__(
            path,
            f"its picture changes from {before} to {after} at frame {frame}; "
            "split the film there, or convert it to one size.",
        )


class JumpingTimes(InputError):
    """The time stamps jump back in the middle of the film: several recordings in one file."""

    def __init__(self, path: Path, frame: int, back_seconds: float) -> None:
        super().__init__(
            path,
            f"its time stamps jump back by {back_seconds:.1f} seconds at frame {frame}; "
            "split the recording there, or remux it into one run of times.",
        )


class UnsafeFile(InputError):
    """The file is not a regular file, but a link, a device, a pipe or a folder."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path, f"it is {kind}, not a regular file; copy the film itself.")


class TextRemains(InputError):
    """There is residue after the second pass, and ``on_residual`` is ``failed``."""

    def __init__(self, path: Path, places: int, times: str) -> None:
        count = "1 place" if places == 1 else f"{places} places"
        super().__init__(
            path,
            f"text or a trace of it is still seen in {count} (at {times}); name a mask or regions "
            "in its settings, or set on_residual: done to have it with a warning.",
        )


class BadMask(InputError):
    """The mask that a settings file names for a film cannot be used."""

    def __init__(self, path: Path, mask: str, problem: str) -> None:
        super().__init__(path, f"its mask {mask} {problem}; send a better one, or none.")


class BadSubtitleFile(InputError):
    """The ``.srt`` beside a film, which says when text may appear, cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            path, f"its subtitle file {problem}; mend it, or take it away to have all searched."
        )


class BadSidecar(InputError):
    """A settings file beside a film, or in its folder, cannot be used."""

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(path, f"{sentence} (job settings file; correct it and requeue).")


class NameRefused(InputError):
    """A filesystem does not take the film's name, or the path that it would have there."""


# --- the host ---------------------------------------------------------------------------------


class HostError(EraseError):
    """This machine has a problem; the queue pauses until the operator has corrected it."""

    remedy = Remedy.FIX_HOST


class ConfigError(HostError):
    """The configuration cannot be used; the text names the file and the key."""


class FolderError(HostError):
    """One of the five folders cannot be used."""

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        super().__init__(f"{path}: {sentence}")


class ClaimRefused(FolderError):
    """A film, or any film of a folder, cannot be moved out of the inbox: permissions, or in use."""


class FolderGone(FolderError):
    """A folder is missing or not the one known from before: its share is probably not mounted."""


class DiskFull(HostError):
    """The disk of a folder, or its quota, is full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: no space left; free some or raise the quota, the queue goes on by itself."
        )


class FilmBlocked(HostError):
    """A step on one film failed again and again, although the folders themselves work."""


class SourceGone(HostError):
    """The source of a claimed film was removed from work/ by somebody else."""


class NewerJob(HostError):
    """A film in work/ was taken by a later release, whose job.json this one does not understand.

    Args:
        folder: the job folder.
        film: path of the film below the inbox.
        version: version of its job.json.
        known: highest version that this release knows.
    """

    def __init__(self, folder: Path, film: str, version: int, known: int) -> None:
        super().__init__(
            f"{printable(film)}: a later release was at it (job.json has version {version}, this "
            f"release knows {known}); install that release again, or move the film from {folder} "
            "back into the inbox."
        )


class EngineMissing(HostError):
    """The configured engine cannot be created on this machine."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"engine {name}: {sentence}")


MEND = "`subtitle-eraser models fetch`"
"""Command that downloads missing weights and replaces damaged ones."""
_MAX_NAMED_FILES = 3  # in one sentence; the others are only counted


class WeightsMissing(HostError):
    """Weights of the diffusion engine are missing."""

    def __init__(self, models: Path, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        unnamed = len(missing) - _MAX_NAMED_FILES
        more = f" and {unnamed} more" if unnamed > 0 else ""
        lacking = ", ".join(missing[:_MAX_NAMED_FILES]) + more
        super().__init__(f"{models}: lacks {lacking}; run {MEND}, or set engine: propagate.")


class WeightsDamaged(HostError):
    """Weights differ from the files that were downloaded, or cannot be read.

    Args:
        models: the models folder.
        faults: file name -> its problem, e.g. "is missing".
    """

    def __init__(self, models: Path, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        named = [f"{name} {problem}" for name, problem in list(faults.items())[:_MAX_NAMED_FILES]]
        unnamed = len(faults) - _MAX_NAMED_FILES
        more = f"; and {unnamed} more" if unnamed > 0 else ""
        super().__init__(f"{models}: {'; '.join(named)}{more}. Run {MEND}, which mends just that.")


class NoRoom(HostError):
    """The disk has not enough free space for the weights to download."""

    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path}: {needed_bytes / 1e9:.2f} GB are needed, {free_bytes / 1e9:.2f} GB are free; "
            "free some, or set models.folder to a larger disk. Nothing was fetched."
        )


class HubUnreachable(HostError):
    """The hub (download server) does not answer, or answers with an error."""

    def __init__(self, hub: str, detail: str, key: str) -> None:
        super().__init__(
            f"{hub}: {detail}. Check the network, HTTPS_PROXY and {key}, then run the same command "
            "again; it goes on where it was."
        )


class HubRefused(HostError):
    """The hub requires a token, or does not give this account access to the repository."""

    def __init__(self, hub: str, repository: str, detail: str, token: str) -> None:
        super().__init__(
            f"{hub}: {repository} is refused ({detail}). Accept its terms on its page there, make "
            f"a token that may read it, and set {token}."
        )


class NotOnHub(HostError):
    """The hub has no such repository, revision or file."""

    def __init__(self, hub: str, problem: str, key: str) -> None:
        super().__init__(f"{hub}: {problem}; correct {key} in the configuration.")


class DownloadDamaged(HostError):
    """A downloaded file does not have the hash or size that the hub announced."""

    def __init__(self, hub: str, name: str) -> None:
        super().__init__(
            f"{hub}: {name} came with other content than announced, twice; a proxy in between may "
            "change it. Fetch from another endpoint, or try again later."
        )


class DownloadRefused(HostError):
    """The hub announces no digest of a file, or another one than was recorded at this revision."""


class BadWeights(HostError):
    """A weights file is unreadable or does not contain the tensors that the networks need."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}; put back the published file, or run {MEND}.")


class DeviceBroken(HostError):
    """The graphics card is broken, missing or busy: no process can use it."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card is not usable; see what nvidia-smi and the system's log "
            "say, reset or replace it, or set engine: propagate."
        )


# --- nobody -----------------------------------------------------------------------------------


class WorkerLost(EraseError):
    """The worker process ended, or sent no heartbeat for too long, in the middle of an attempt."""

    remedy = Remedy.RETRY


class OutOfMemory(EraseError):
    """Memory ran out even with the smallest batches; it may suffice when the machine is less busy.

    Args:
        sentence: the problem and the next step.
        on_host: True for the machine's RAM, False for the memory of a graphics card.
    """

    remedy = Remedy.RETRY

    def __init__(self, sentence: str, *, on_host: bool = True) -> None:
        self.on_host = on_host
        super().__init__(sentence)


class DeviceLost(EraseError):
    """This process can no longer use the graphics card (CUDA context lost); a new worker can."""

    remedy = Remedy.RETRY

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card cannot be used on; a fresh worker tries again."
        )


# --- the developers ---------------------------------------------------------------------------


class VerifyFailed(EraseError):
    """The result failed its check against the source; it is not published."""

    def __init__(self, path: Path, detail: str) -> None:
        self.path = path
        super().__init__(
            f"{printable(path.name)}: the result failed its check ({detail}); it was not "
            "published. Please report this with the job's log."
        )


class ProductUnreadable(EraseError):
    """A file that we made ourselves, e.g. the result, cannot be read back."""

    def __init__(self, path: Path, detail: str) -> None:
        self.path = path
        super().__init__(
            f"{printable(path.name)}, which was made of the film, cannot be read back ({detail}) "
            "Nothing was published. Please report this with the job's log."
        )


class NothingErased(EraseError):
    """Erasing failed for every subtitle of a film; see the log for the errors."""

    def __init__(self, path: Path, events: int, reason: str) -> None:
        subtitles = "its only subtitle" if events == 1 else f"each of its {events} subtitles"
        super().__init__(
            f"{printable(path.name)}: erasing failed for {subtitles} ({reason}); it was not "
            "published. Please report this with the job's log."
        )


class EngineMisbehaved(EraseError):
    """An engine broke its contract: wrong shape, wrong type, values out of range."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"engine {name} broke its contract: {detail}. Please report this.")
