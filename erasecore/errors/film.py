"""Errors of a film or of a file beside it; its sender can correct them."""

from __future__ import annotations

from pathlib import Path

from erasecore.errors.base import InputError


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


class WrongContainer(InputError):
    """The container that was asked for cannot store the result's codec."""

    def __init__(self, path: Path, encoder: str, ending: str) -> None:
        super().__init__(path, f"{ending} cannot hold {encoder}; use .mkv, or another --codec.")


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


class BadPlan(InputError):
    """A plan file is not valid, or for another film."""


class NameRefused(InputError):
    """A filesystem does not take the film's name, or the path that it would have there."""
