"""Errors of this program, or of an engine; the developers can correct them."""

from __future__ import annotations

from pathlib import Path

from erasecore.errors.base import EraseError, printable


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
