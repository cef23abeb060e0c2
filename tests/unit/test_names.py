"""Names that nobody in the field would guess do not come back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

MODULES = {
    "holdings": "jobs/store", "looking": "inbox/scanner", "intake": "inbox/candidate_queue",
    "owners": "jobs/instances", "wire": "workers/messages", "attempt": "workers/worker_loop",
    "troubles": "runtime/host_problems", "refusals": "inbox/blocked_paths",
    "anchors": "folders/mount_guard", "advice": "storage/os_errors", "dress": "folders/permissions",
    "places": "config/locations", "past": "jobs/history_view", "asked": "cli/context",
    "onefile": "cli/erase_file", "logsize": "runtime/log_limits",
    "memorykills": "workers/oom_kills", "machine": "workers/host_resources",
    "records": "config/parsing", "stock": "models/inventory", "filebar": "cli/download_progress",
    "faults": "failpoints", "fault_points": "failpoints", "fault_injection": "failpoints",
    "finding": "detection_pass", "tools": "resources", "wantedtimes": "selection/time_filter",
    "cutout": "model/crop_stacks", "recovered": "recovery/segment_results",
    "recover": "recovery/clip_recovery", "hypotheses": "recovery/second_pass",
    "looks": "review/text_probe", "residual": "review/residual_text",
    "footprint": "recovery/memory_steps", "rungbook": "memory/ladder_store",
    "batching": "memory/ladder", "memoryfaults": "memory/oom_errors",
    "durable": "system/atomic_files", "plainfile": "system/safe_open",
    "maskedink": "recovery/ink_from_mask", "areas": "selection/connected_components",
    "summary": "report_builder", "fidelity": "review/outside_mask_psnr",
    "swallowed": "detect/searching", "stillness": "detect/movement",
    "switches": "detect/line_changes", "chains": "propagate/trajectories",
    "trust": "propagate/confidence", "averaging": "propagate/fusion",
    "trail": "propagate/temporal_prior", "recent": "motion/lru_cache",
    "thumbs": "thumbnails", "choose": "engines/registry", "shown": "diffueraser/conditioning",
    "inlay": "diffueraser/seamless_blend", "refill": "diffueraser/merge_fill",
    "taps": "diffueraser/brushnet_residuals", "painter": "diffueraser/pipeline",
    "networks": "diffueraser/components", "bands": "diffueraser/vae_tiling",
    "walk": "diffueraser/forward", "moments": "ink/transitions", "evidence": "ink/transitions",
    "behind": "ink/plate_search", "ground": "ink/plate_search", "extents": "ink/plate_fit",
    "platefit": "ink/plate_fit", "growing": "ink/stroke_mask", "trimming": "ink/stroke_mask",
    "letters": "ink/stroke_mask",
}  # fmt: skip
"""Old names of modules, and where their subject lives now."""

CLASSES = {
    "Holdings": "JobStore", "Looks": "FileSignature", "Look": "TextProbe", "_Look": "a sample",
    "Found": "InboxEntry, DetectionResult", "PassedOver": "SkippedEntries",
    "Intake": "CandidateQueue", "Mark": "SettingsFileRef", "Owner": "InstanceId",
    "Standing": "Liveness, RungState", "Hello": "Ready", "Advanced": "ProgressUpdate",
    "Seat": "free for the issue on scale; see WorkerSlot", "Wishes": "ResolvedSettings",
    "Trouble": "HostProblem", "Troubles": "HostProblems", "Refusals": "BlockedPaths",
    "Anchors": "MountGuard", "Places": "Locations", "Past": "HistorySummary",
    "Asked": "CommandContext", "Errand": "EraseRequest", "Fault": "Failure",
    "Tools": "ModelCache", "WantedTimes": "TimeFilter", "Cutout": "CropStack",
    "Strip": "InpaintInput", "Around": "ContextCrop", "SegmentWatch": "ResidualTextChecker",
    "Site": "WorkloadKey", "Death": "KilledAttempt", "Book": "LadderStore",
    "RungBook": "FileLadderStore", "Footprint": "MemoryStep", "ChainWalker": "FlowChainer",
    "Recent": "LruCache", "Means": "EngineContext", "Painter": "InpaintPipeline",
    "Networks": "Components", "Bands": "TiledVae", "Shown": "Conditioning",
    "Evidence": "InkStatistics", "Change": "Transition", "Ground": "LineContext",
    "Extent": "PlateBounds", "CardFault": "GpuFailure", "Trail": "TemporalPrior",
    "Hypothesis": "MaskDilation", "FidelityCheck": "OutsideMaskPsnr",
}  # fmt: skip

FUNCTIONS = {
    "adopt_strays": "reattach_orphans", "strays": "orphans", "settle_up": "publish_finished",
    "look": "scan, presence_in, add_frame", "_look": "scan, presence_in, add_frame",
    "looks_of": "signature_of", "advice": "hint_for", "dress": "apply_mode",
    "hear": "process_reports", "_hear": "process_report", "give": "assign", "_give": "assign",
    "_rest": "_back_off", "note_idle": "idle_reason", "_tell": "publish_status, send",
    "_settle_in": "_open_instance", "_let_go": "_kill_lost_workers",
    "wishes_for": "resolve_settings", "move_new": "move_no_clobber", "fault_point": "failpoint",
    "hop": "step", "_hop": "_chain_step", "hop_cost": "step_cost", "ways": "alternatives",
    "judge": "calibrate_on_ring", "leave": "remember, release_claim", "stronger": "second_pass",
    "jolts": "flash_candidates", "switches": "line_changes", "switched": "line_changed",
    "in_company": "has_paired_line", "kin": "similar_lines", "company": "paired_lines",
    "taps": "residuals", "inlaid": "blend_seamlessly", "refilled": "merge_fill",
    "shown_networks": "make_conditioning", "find_moments": "find_transitions",
    "plate_behind": "search_plate", "find_extent": "find_plate_bounds", "grown": "grow_mask",
    "trimmed": "trim_mask", "favour": "weight", "_favour": "_prior_weight", "votes": "weight",
    "death": "killed_attempt", "patience": "unfinished_delay", "areas_of": "connected_components",
    "swallowed_lines": "split_box", "places": "locations, flat_index",
}  # fmt: skip


def definitions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``("class" or "function", name)`` of each definition in the module ``path``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield "class", node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield "function", node.name


@pytest.mark.parametrize("package", ["daemon", "erasecore"])
def test_no_definition_bears_an_old_name(package: str) -> None:
    """Modules, classes and functions have the names that an engineer of the field would search."""
    old = {"class": CLASSES, "function": FUNCTIONS}
    found = []
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        where = str(path.relative_to(REPOSITORY))
        if path.stem in MODULES:
            found.append(f"{where}: a module is called {path.stem}; see {MODULES[path.stem]}")
        found += [
            f"{where}: {kind} {name}; say {old[kind][name]}"
            for kind, name in definitions(path)
            if name in old[kind]
        ]
    assert found == []


def test_an_old_name_would_be_found(tmp_path: Path) -> None:
    """Classes, methods and nested functions are all looked at."""
    module = tmp_path / "m.py"
    module.write_text("class Seat:\n    def look(self):\n        def hop(): ...\n")
    assert list(definitions(module)) == [
        ("class", "Seat"),
        ("function", "look"),
        ("function", "hop"),
    ]
