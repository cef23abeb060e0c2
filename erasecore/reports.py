"""What the pipeline says about its work: plain frozen records, standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """A step of the pipeline, in order."""

    PROBE = "probe"
    DETECT = "detect"
    ERASE = "erase"
    ASSEMBLE = "assemble"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of life: which stage, and how far through the job."""

    stage: Stage
    job_share: float  # 0 to 1 of the whole job
    frames_done: int  # of the film, in this stage
    frames_total: int  # 0 while unknown
    pixels: int = 0  # width x height of the film; 0 while unknown


@dataclass(frozen=True, slots=True)
class EventReport:
    """One subtitle that was erased."""

    start: int  # first frame
    stop: int  # first frame after it
    start_seconds: float
    stop_seconds: float
    box_xyxy: tuple[int, int, int, int]  # pixels of the stored picture
    share_unblended: float  # of its ink pixels: solved from a translucent layer
    share_propagated: float  # of its ink pixels: copied from other frames
    share_invented: float  # of its ink pixels: filled in space
    confidence: float  # 0 to 1
    text: str = ""  # what it said; empty: not read, or in a script that cannot be read
    text_score: float = 0.0  # 0 to 1: how sure the recogniser was
    ink_found: bool = True  # False: nothing was told from the picture, and nothing changed
    residual: bool = False  # text is still seen in its place
    passes: int = 1  # 2: text was left after the first, and stronger hypotheses were tried
    share_diffused: float = 0.0  # of its ink pixels: made up by the diffusion network


@dataclass(frozen=True, slots=True)
class LadderReport:
    """In which pieces one kind of work was done, so that it fitted the memory."""

    work: str  # what was worked on: engine, size, device
    rung: str  # the lowest that was needed
    position: int  # of that rung; 0 is the one that needs the most memory
    rungs: int  # how many there are
    steps_down: int  # rungs gone down in this film because memory ran out


@dataclass(frozen=True, slots=True)
class EraseReport:
    """One film, done."""

    untouched: bool  # no subtitle was found: the result is the source, byte for byte
    result: str  # the result's file name inside the job's folder
    engine: str
    width: int
    height: int
    frames: int
    duration_seconds: float
    video_codec: str
    segments: int
    segments_resumed: int  # finished by an earlier attempt and not done again
    events: tuple[EventReport, ...] = ()
    residual_events: int = 0  # events in whose place text is still found in the result
    psnr_outside: float | None = None  # result against source away from the ink, dB
    seconds: dict[str, float] = field(default_factory=dict)  # stage -> wall seconds
    warnings: tuple[str, ...] = ()
    memory: tuple[LadderReport, ...] = ()  # what was done in smaller pieces than usual
    frames_diffused: int = 0  # frames in which the diffusion network made pixels up
