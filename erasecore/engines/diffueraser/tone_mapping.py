"""How HDR is shown to the networks: they know pictures for ordinary screens, and no others.

PQ is brought to about what such a screen would show, and what is painted is brought back. HLG is
shown as it is: it was made to look right there. Colours stay the film's own, say Rec. 2020; they
are a little pale to the networks, and come back as they were.
"""

from __future__ import annotations

import numpy as np

from erasecore.model.inpaint_input import Floats

PQ = 16
"""FFmpeg's number of the transfer curve of SMPTE ST 2084."""

_PEAK_NITS = 10_000.0
_WHITE_NITS = 203.0  # of paper in HDR pictures, by Rec. ITU-R BT.2408
_PEAK = _PEAK_NITS / _WHITE_NITS
_GAMMA = 2.2
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def tone_map(signal: Floats, transfer: int) -> Floats:
    """A film's signal as networks are to see it; both from 0 to 1.

    Light is compressed so that nothing of it is cut off, Reinhard's way: white paper comes to half
    of the light of the screen, the peak to all of it.
    """
    if transfer != PQ:
        return signal
    root = np.power(signal, 1 / _M2)
    light = np.power(np.maximum(root - _C1, 0) / (_C2 - _C3 * root), 1 / _M1) * _PEAK
    return _floats(np.power(light * (1 + light / _PEAK**2) / (1 + light), 1 / _GAMMA))


def inverse_tone_map(picture: Floats, transfer: int) -> Floats:
    """The film's signal of what networks have painted: the inverse of ``shown``."""
    if transfer != PQ:
        return picture
    screen = np.power(picture, _GAMMA)
    dark = 1 - screen
    light = 2 * screen / (dark + np.sqrt(dark**2 + 4 * screen / _PEAK**2))
    power = np.power(light / _PEAK, _M1)
    return _floats(np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2))


def _floats(values: Floats) -> Floats:
    return np.asarray(values, np.float32)
