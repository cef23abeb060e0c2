"""Removal of burned-in (hard-coded) subtitles from a film; independent of the daemon."""

__version__ = "0.1.0"
