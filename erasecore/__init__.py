"""Turns a film with burned-in subtitles into one without; knows no folder and no daemon."""

__version__ = "0.1.0"
