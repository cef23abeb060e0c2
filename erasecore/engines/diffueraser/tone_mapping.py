"""Tone mapping of HDR for the diffusion model, which was trained on SDR pictures, and its inverse.

PQ is mapped to about what an SDR display would show, and the result is mapped back. HLG is left
unchanged: its signal is designed to look right on SDR displays. The colour primaries are not
converted (e.g. Rec. 2020): colours look slightly pale to the model and come back unchanged.
"""

from __future__ import annotations

import numpy as np

from erasecore.model.inpaint_input import Floats

PQ = 16
"""Transfer characteristics of SMPTE ST 2084 (PQ) as FFmpeg and ITU-T H.273 number them."""

_PEAK_NITS = 10_000.0  # cd/m^2 of a PQ signal of 1 (ST 2084)
_WHITE_NITS = 203.0  # cd/m^2 of diffuse white in HDR pictures (Rec. ITU-R BT.2408)
_PEAK = _PEAK_NITS / _WHITE_NITS  # peak light, relative to diffuse white
_GAMMA = 2.2  # of an SDR display, usual approximation
_M1 = 2610 / 16384  # constants of ST 2084, without unit
_M2 = 2523 / 4096 * 128
_C1 = 3424 / 4096
_C2 = 2413 / 4096 * 32
_C3 = 2392 / 4096 * 32


def tone_map(signal: Floats, transfer: int) -> Floats:
    """Map a film's RGB signal to SDR; both 0 to 1, any shape.

    PQ is compressed by Reinhard's extended operator: diffuse white becomes half of the display's
    light, the peak all of it, and nothing is clipped. Other transfers are returned unchanged.

    Args:
        signal: non-linear RGB, 0 to 1.
        transfer: transfer characteristics (ITU-T H.273).
    """
    if transfer != PQ:
        return signal
    root = np.power(signal, 1 / _M2)
    light = np.power(np.maximum(root - _C1, 0) / (_C2 - _C3 * root), 1 / _M1) * _PEAK
    return _floats(np.power(light * (1 + light / _PEAK**2) / (1 + light), 1 / _GAMMA))


def inverse_tone_map(picture: Floats, transfer: int) -> Floats:
    """Map SDR RGB (0 to 1) back to the film's signal; the inverse of `tone_map`."""
    if transfer != PQ:
        return picture
    display = np.power(picture, _GAMMA)
    dark = 1 - display
    light = 2 * display / (dark + np.sqrt(dark**2 + 4 * display / _PEAK**2))
    power = np.power(light / _PEAK, _M1)
    return _floats(np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2))


def _floats(values: Floats) -> Floats:
    """Convert to float32, without a copy if it is already."""
    return np.asarray(values, np.float32)
