"""Progress and report records of the pipeline: plain and frozen, standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """Steps of the pipeline, in order."""

    PROBE = "probe"
    DETECT = "detect"
    ERASE = "erase"
    ASSEMBLE = "assemble"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress report, also the worker's heartbeat."""

    stage: Stage
    job_share: float  # finished share of the whole job, 0 to 1
    frames_done: int  # of the film, in this stage
    frames_total: int  # 0 while unknown
    pixels: int = 0  # width x height of the film; 0 while unknown


class ResidueReason(StrEnum):
    """Reasons for which the self-check takes a place in the result for residue."""

    TEXT = "text"  # text is detected where a line was erased; evidence: share of the frames tried
    LETTERS = "letters"  # its letters' shape shows in their place; evidence: correlation
    STEP = "step"  # the place changes as its line comes or goes; evidence: change, in that around
    BAR = "bar"  # a bar has lost its colour or its edge there; evidence: share of the erased place
    OUTLASTS = "outlasts"  # an erased line's letters show before or after it; evidence: correlation
    UNERASED = (
        "unerased"  # text that comes and goes, and nobody knew of; evidence: detector's score
    )
    NO_INK = "no-ink"  # words were read, but no ink was found; evidence: the OCR's confidence
    LOW_CONFIDENCE = "low-confidence"  # the fill is hardly believed; evidence: the confidence


@dataclass(frozen=True, slots=True)
class ResidueReport:
    """One place in the result that the self-check takes for residue."""

    start: int  # first frame in which it may show
    stop: int  # first frame after it
    start_seconds: float
    stop_seconds: float
    box_xyxy: tuple[int, int, int, int]  # pixels of the picture as seen, half-open
    reason: ResidueReason
    evidence: float  # the measure that the reason is decided by
    text: str = ""  # letters that were read there; empty: none


@dataclass(frozen=True, slots=True)
class LeftText:
    """Text that was found, and left in the picture knowingly."""

    start: int  # first frame
    stop: int  # first frame after it
    start_seconds: float
    stop_seconds: float
    box_xyxy: tuple[int, int, int, int]  # pixels of the picture as seen, half-open
    reason: str  # why it was left, e.g. "short"
    setting: str  # setting that would take it, e.g. "detect.regions"; empty: none would
    always: bool = False  # it stands from the film's first frame to its last


@dataclass(frozen=True, slots=True)
class EventReport:
    """One erased subtitle (event)."""

    start: int  # first frame
    stop: int  # first frame after it
    start_seconds: float
    stop_seconds: float
    box_xyxy: tuple[int, int, int, int]  # bounding box, pixels of the picture as seen, half-open
    share_unblended: float  # share of its ink pixels solved from a translucent layer, 0 to 1
    share_propagated: float  # share of its ink pixels copied from other frames, 0 to 1
    share_invented: float  # share of its ink pixels inpainted within the frame, 0 to 1
    confidence: float  # mean confidence of the filled pixels, 0 to 1
    text: str = ""  # recognised text; empty: not read, or in a script that the OCR cannot read
    text_score: float = 0.0  # confidence of the OCR, 0 to 1
    ink_found: bool = True  # False: no ink was separated from the picture, no pixel was changed
    residual: bool = False  # True: there is residue in its place, or it was left
    passes: int = 1  # 2: text was left after the first pass, and larger masks were tried
    share_diffused: float = 0.0  # share of its ink pixels made by the diffusion network, 0 to 1
    left: str = ""  # error for which it was left as it is, at least in part; empty: it was erased


@dataclass(frozen=True, slots=True)
class LadderReport:
    """Out-of-memory fallback of one workload in a film; see ``erasecore.memory.ladder``."""

    work: str  # engine, picture size and device
    rung: str  # name of the lowest rung used
    position: int  # index of that rung; 0 needs the most memory
    rungs: int  # number of rungs on the ladder
    steps_down: int  # number of steps down in this film because memory ran out


@dataclass(frozen=True, slots=True)
class EraseReport:
    """Report of one finished film."""

    untouched: bool  # True: no subtitle was found, the result is the source, byte for byte
    result: str  # file name of the result in the job's folder
    engine: str
    width: int
    height: int
    frames: int
    duration_seconds: float
    video_codec: str
    segments: int
    segments_resumed: int  # segments reused from an earlier attempt (checkpoints)
    events: tuple[EventReport, ...] = ()
    residual_events: int = 0  # number of events with residue in their place
    residue: tuple[ResidueReport, ...] = ()  # what the self-check found, by time
    left: tuple[LeftText, ...] = ()  # text that was found and left knowingly, by time
    psnr_outside: float | None = None  # PSNR in dB of the result against the source, off the ink
    seconds: dict[str, float] = field(default_factory=dict)  # stage -> wall-clock seconds
    warnings: tuple[str, ...] = ()  # sentences
    memory: tuple[LadderReport, ...] = ()  # workloads that used smaller batches than usual
    frames_diffused: int = 0  # number of frames with pixels made by the diffusion network
