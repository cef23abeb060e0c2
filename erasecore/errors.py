"""Every fault that comes from outside, as a class that says who can put it right.

Retry, exit code, folder and alert follow from the class and its remedy; nobody parses the text.
The text names the file (or the place) and the next step, so that it can be shown as it stands.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""How the system says that a disk, or a quota of it, is full."""
AWAY = (
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV),
    *(errno.ENXIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO),
    *(errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENOLINK, errno.ECOMM),
    *(errno.EPIPE, errno.ESHUTDOWN, errno.EPROTO, errno.EROFS),
)
"""What a disk or a share answers that is on its way out: nothing is wrong with the film."""


class Remedy(StrEnum):
    """Who can put an error right."""

    RETRY = "retry"  # nobody: try again later
    FIX_INPUT = "fix-input"  # whoever sent the file
    FIX_HOST = "fix-host"  # the operator: disk, weights, GPU, rights
    FIX_CODE = "fix-code"  # us


class EraseError(Exception):
    """A fault with a remedy; ``str(error)`` is a sentence for the person who can mend it."""

    remedy: ClassVar[Remedy] = Remedy.FIX_CODE


class InputError(EraseError):
    """Something is wrong with the film (or its sidecar); sending a better one mends it."""

    remedy = Remedy.FIX_INPUT
    may_be_unfinished: ClassVar[bool] = False  # so looks a film, too, that is still being copied

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        self.sentence = sentence
        super().__init__(f"{show_name(path)}: {sentence}")


def show_name(path: Path) -> str:
    """The file's name with everything unprintable escaped, safe for logs and terminals."""
    name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


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
    """The video codec cannot be decoded here."""

    def __init__(self, path: Path, codec: str) -> None:
        super().__init__(
            path,
            f"no decoder for its video codec ({codec}); convert the film, to H.264 for example.",
        )


class StreamsNotCopyable(InputError):
    """What the film says of its sound or its other streams cannot be written again."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            path,
            f"its sound or another stream cannot be copied ({reason}); it may be damaged: send the "
            "film again, or convert it to .mkv.",
        )


class LimitExceeded(InputError):
    """The film is larger than the operator allows."""

    def __init__(self, path: Path, what: str, found: float, limit: float, key: str) -> None:
        super().__init__(
            path,
            f"{what} is {found:g}, above the limit of {limit:g}; send a smaller film, "
            f"or let the operator raise {key}.",
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
    """The time stamps fall back in the middle of the film: several recordings in one file."""

    def __init__(self, path: Path, frame: int, back_seconds: float) -> None:
        super().__init__(
            path,
            f"its time stamps jump back by {back_seconds:.1f} seconds at frame {frame}; "
            "split the recording there, or remux it into one run of times.",
        )


class UnsafeFile(InputError):
    """Not a plain regular file: a link, a device, a pipe, a folder."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path, f"it is {kind}, not a regular file; copy the film itself.")


class TextRemains(InputError):
    """Text is still seen after the second pass, and ``on_residual`` is ``failed``."""

    def __init__(self, path: Path, events: int, times: str) -> None:
        places = "place" if events == 1 else "places"
        super().__init__(
            path,
            f"text is still seen in {events} {places} (at {times}); name a mask or regions in a "
            "settings file beside it, or set on_residual: done to have it with a warning.",
        )


class BadMask(InputError):
    """The mask named for a film cannot be used."""

    def __init__(self, path: Path, mask: str, what: str) -> None:
        super().__init__(path, f"its mask {mask} {what}; send a better one, or none.")


class BadSubtitleFile(InputError):
    """The ``.srt`` beside a film, which says when text may appear, cannot be used."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            path, f"the .srt beside it {what}; mend it, or take it away to have all searched."
        )


class BadSidecar(InputError):
    """A settings file beside a film, or in its folder, cannot be used."""

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(path, f"{sentence} (job settings file; correct it and requeue).")


# --- the host ---------------------------------------------------------------------------------


class HostError(EraseError):
    """Something is wrong with this machine; the operator mends it and the queue goes on."""

    remedy = Remedy.FIX_HOST


class ConfigError(HostError):
    """The configuration cannot be used; the text names the file and the key."""


class FolderError(HostError):
    """One of the five folders cannot be used."""

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        super().__init__(f"{path}: {sentence}")


class ClaimRefused(FolderError):
    """A film, or any film of its folder, may not be taken out of the inbox."""


class FolderGone(FolderError):
    """A folder is not the one that it was: its share is not mounted."""


class DiskFull(HostError):
    """A folder has no room left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: no space left; free some or raise the quota, the queue goes on by itself."
        )


class EngineMissing(HostError):
    """The configured engine cannot be built here."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"engine {name}: {sentence}")


MEND = "`subtitle-eraser models fetch`"
_TOLD_FILES = 3


class WeightsMissing(HostError):
    """Not all weights of the diffusion engine are there."""

    def __init__(self, models: Path, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        more = f" and {len(missing) - _TOLD_FILES} more" if len(missing) > _TOLD_FILES else ""
        lacking = ", ".join(missing[:_TOLD_FILES]) + more
        super().__init__(f"{models}: lacks {lacking}; run {MEND}, or set engine: propagate.")


class WeightsDamaged(HostError):
    """Weights are not the files that were fetched."""

    def __init__(self, models: Path, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        told = [f"{name} {what}" for name, what in list(faults.items())[:_TOLD_FILES]]
        more = f"; and {len(faults) - _TOLD_FILES} more" if len(faults) > _TOLD_FILES else ""
        super().__init__(f"{models}: {'; '.join(told)}{more}. Run {MEND}, which mends just that.")


class NoRoom(HostError):
    """Less is free than what is to be fetched."""

    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path}: {needed_bytes / 1e9:.2f} GB are needed, {free_bytes / 1e9:.2f} GB are free; "
            "free some, or set models.folder to a larger disk. Nothing was fetched."
        )


class HubUnreachable(HostError):
    """The hub does not answer, or not as it should."""

    def __init__(self, hub: str, detail: str, key: str) -> None:
        super().__init__(
            f"{hub}: {detail}. Check the network, HTTPS_PROXY and {key}, then run the same command "
            "again; it goes on where it was."
        )


class HubRefused(HostError):
    """The hub wants to know who asks, or does not let them have it."""

    def __init__(self, hub: str, repository: str, detail: str, token: str) -> None:
        super().__init__(
            f"{hub}: {repository} is refused ({detail}). Accept its terms on its page there, make "
            f"a token that may read it, and set {token}."
        )


class NotOnHub(HostError):
    """The hub has no such repository, revision or file."""

    def __init__(self, hub: str, what: str, key: str) -> None:
        super().__init__(f"{hub}: {what}; correct {key} in the configuration.")


class DownloadDamaged(HostError):
    """What came is not what the hub had announced."""

    def __init__(self, hub: str, name: str) -> None:
        super().__init__(
            f"{hub}: {name} came with other content than announced, twice; a proxy in between may "
            "change it. Fetch from another endpoint, or try again later."
        )


class BadWeights(HostError):
    """A file of an engine's weights does not hold what the networks need."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f"{path}: {what}; put back the published file, or run {MEND}.")


class DeviceBroken(HostError):
    """The graphics card is broken, gone or taken: no process can use it as it is."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card is not usable; see what nvidia-smi and the system's log "
            "say, reset or replace it, or set engine: propagate."
        )


# --- nobody -----------------------------------------------------------------------------------


class WorkerLost(EraseError):
    """The worker process ended or fell silent in the middle of an attempt."""

    remedy = Remedy.RETRY


class OutOfMemory(EraseError):
    """Memory ran out even in the smallest pieces; a quieter moment may do.

    Args:
        sentence: what ran out, and the way out.
        on_host: whether it was the machine's own memory, not that of a graphics card.
    """

    remedy = Remedy.RETRY

    def __init__(self, sentence: str, *, on_host: bool = True) -> None:
        self.on_host = on_host
        super().__init__(sentence)


class DeviceLost(EraseError):
    """The graphics card is lost to this process; a fresh one can use it again."""

    remedy = Remedy.RETRY

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card cannot be used on; a fresh worker tries again."
        )


# --- us ---------------------------------------------------------------------------------------


class VerifyFailed(EraseError):
    """The result is not what it must be; it is not published."""

    def __init__(self, path: Path, detail: str) -> None:
        self.path = path
        super().__init__(
            f"{show_name(path)}: the result failed its check ({detail}); it was not published. "
            "Please report this with the job's log."
        )


class EngineMisbehaved(EraseError):
    """An engine broke its contract: wrong shape, wrong type, values out of range."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"engine {name} broke its contract: {detail}. Please report this.")
