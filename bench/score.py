"""Scores a result against a case; everything is read once, a picture at a time.

psnr_mask   PSNR (6Y+U+V)/8 against the clean film, over exactly the pixels the burning changed
psnr_box    the same over the events' boxes grown by 8 px;  ssim_box: luma SSIM there
flicker     mean difference of the changes from frame to frame, masked luma, 8-bit levels
detail      Laplacian energy of the result over that of the clean film, masked; 1 is right
psnr_out    PSNR outside the boxes against the *source*: how untouched the rest is
residual    share of sampled subtitle frames in which text is found in an event's box where
            none is found in the clean frame
scene_dmg   share of scene-text boxes (found in the clean film, away from events) below 30 dB
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from bench.boxes import grow
from bench.cases import Case, Masks, TrueEvent
from bench.media import I420, BenchError, open_film, read_pictures
from bench.metrics import Mask, MaskedError, detail_energy, motion_error, ssim
from bench.residual import TextJudge

BOX_MARGIN_PX = 8
_NONE: I420 = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class Score:
    """How near a result is to the clean film; see the module's docstring."""

    psnr_mask: float
    psnr_box: float
    ssim_box: float
    flicker: float
    detail: float
    psnr_out: float
    residual: float | None = None  # None: text was not looked for
    residual_frames: tuple[int, ...] = ()
    scene_dmg: float | None = None
    scene_boxes: int = 0
    audio_ok: bool = True


@dataclass(frozen=True, slots=True)
class Instant:
    """One frame of all three films."""

    frame: int
    result: I420
    clean: I420
    hardsub: I420


def score_result(case: Case, result: Path, judge: TextJudge | None) -> Score:
    """The score of ``result``; a missing frame or another size is an error.

    Args:
        case: what the result was made from.
        result: the film a method has made of ``case.hardsub``.
        judge: looks for text; ``None`` leaves the last two numbers out.
    """
    found = open_film(result)
    if (found.width, found.height) != (case.width, case.height):
        raise BenchError(f"{result}: {found.width} x {found.height} px, not the case's size")
    tally = _Tally(case)
    verdict = judge.open_case(case) if judge else None
    for instant in _instants(case, result):
        tally.add(instant)
        if verdict:
            verdict.add(instant.frame, instant.result, instant.clean)
    audio_ok = found.has_audio == open_film(case.hardsub).has_audio
    if verdict is None:
        return tally.score(audio_ok)
    return replace(
        tally.score(audio_ok),
        residual=verdict.residual(),
        residual_frames=verdict.residual_frames(),
        scene_dmg=verdict.scene_damage(),
        scene_boxes=verdict.scene_boxes,
    )


def outside_db(case: Case, film: Path) -> float:
    """PSNR of ``film`` against the case's source, outside the boxes of the events on screen."""
    error = MaskedError()
    pairs = zip(read_pictures(film), read_pictures(case.hardsub), strict=True)
    for frame, (made, source) in enumerate(pairs):
        error.add(made, source, ~_inside(case, frame))
    return error.psnr_db()


def _inside(case: Case, frame: int) -> Mask:
    """The boxes, grown a little, of the events on screen in a frame."""
    inside: Mask = np.zeros((case.height, case.width), bool)
    for event in case.events_at(frame):
        inside[_where(case, event)] = True
    return inside


def _where(case: Case, event: TrueEvent) -> tuple[slice, slice]:
    left, top, right, bottom = grow(event.box, BOX_MARGIN_PX, case.width, case.height)
    return np.s_[top:bottom, left:right]


def _instants(case: Case, result: Path) -> Iterator[Instant]:
    films = (read_pictures(path) for path in (result, case.clean, case.hardsub))
    for frame, (made, clean, hardsub) in enumerate(zip_longest(*films)):
        if made is None or clean is None or hardsub is None:
            raise BenchError(f"{result}: not {case.frames} frames")
        yield Instant(frame, made, clean, hardsub)


class _Tally:
    """Sums over the film, and the frame before for the flicker."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._masks: Masks = case.masks()
        self._in_mask, self._in_box, self._outside = MaskedError(), MaskedError(), MaskedError()
        self._ssims: list[float] = []
        self._flickers: list[float] = []
        self._detail_result = self._detail_clean = 0.0
        self._before: tuple[tuple[TrueEvent, ...], I420, I420] = (), _NONE, _NONE

    def add(self, now: Instant) -> None:
        """Count one frame."""
        events = self._case.events_at(now.frame)
        inside = _inside(self._case, now.frame)
        if events:
            self._in_mask.add(now.result, now.clean, self._masks[now.frame])
            self._in_box.add(now.result, now.clean, inside)
        for event in events:
            self._add_event(now, event)
        self._outside.add(now.result, now.hardsub, ~inside)
        height = self._case.height
        self._before = (events, now.result[:height], now.clean[:height])

    def _add_event(self, now: Instant, event: TrueEvent) -> None:
        height, where = self._case.height, _where(self._case, event)
        mask = self._masks[now.frame][where]
        result, clean = now.result[:height][where], now.clean[:height][where]
        self._ssims.append(ssim(result, clean))
        self._detail_result += detail_energy(result, mask)
        self._detail_clean += detail_energy(clean, mask)
        events_before, result_before, clean_before = self._before
        if event in events_before and mask.any():
            self._flickers.append(
                motion_error((result_before[where], result), (clean_before[where], clean), mask)
            )

    def score(self, audio_ok: bool) -> Score:
        """The sums as a score, without the two numbers about text."""
        return Score(
            psnr_mask=self._in_mask.psnr_db(),
            psnr_box=self._in_box.psnr_db(),
            ssim_box=float(np.mean(self._ssims)),
            flicker=float(np.mean(self._flickers)),
            detail=self._detail_result / max(self._detail_clean, 1.0),
            psnr_out=self._outside.psnr_db(),
            audio_ok=audio_ok,
        )
