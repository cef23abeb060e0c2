"""Parts that every ASS script of the bench has: its head and its time stamps."""

from __future__ import annotations

_HEAD = """[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, \
Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
{styles}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def head(width: int, height: int, styles: str) -> str:
    """Return everything above the events.

    Args:
        width: width of the film, in pixels.
        height: height of the film, in pixels.
        styles: lines that begin with ``Style:``, without a line end after the last.
    """
    return _HEAD.format(width=width, height=height, styles=styles)


def stamp(seconds: float) -> str:
    """Return a time as ``H:MM:SS.cc``; a negative time becomes 0."""
    hundredths = round(max(0.0, seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"
