"""Our walk over a clip's windows against the plain one: BrushNet anew for each window, one by one.

Tiny networks on the CPU, one thread, CPU seconds: what is compared is the arithmetic and what the
bookkeeping costs, not a machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from bench.diffusion import WalkRow
from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.schedule import step, timestep_pairs
from erasecore.engines.diffueraser.temporal import WINDOW, merge_window, window_starts
from erasecore.engines.diffueraser.unet import MotionUNet

BATCHES = (1, 4)
STEPS = 2
_REPEATS = 3
_FRAMES = WINDOW + 4 * (WINDOW - WINDOW // 4)  # five windows
_CELLS = (8, 16)


def walks() -> Iterator[WalkRow]:
    """One row for each number of windows in a batch."""
    networks, generator = tiny_networks(), torch.Generator().manual_seed(3)
    latents = torch.randn((_FRAMES, 4, *_CELLS), generator=generator)
    known = torch.randn((_FRAMES, 5, *_CELLS), generator=generator)
    for at_once in BATCHES:
        plan = BatchPlan(windows_per_batch=at_once)

        def ours(plan: BatchPlan = plan) -> Tensor:
            return denoise(networks, latents, known, steps=STEPS, plan=plan, tick=lambda _: None)

        yield _compare(lambda: plain_walk(networks, latents, known), ours, at_once)


def _compare(plain: Callable[[], Tensor], ours: Callable[[], Tensor], at_once: int) -> WalkRow:
    expected, found = plain(), ours()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):  # in turns: the machine may be busier at one time than at another
        seconds[0].append(_cpu_seconds(plain))
        seconds[1].append(_cpu_seconds(ours))
    off = float((found - expected).abs().max() / expected.abs().max())
    return WalkRow(at_once, len(expected), min(seconds[0]), min(seconds[1]), off)


@torch.inference_mode()
def plain_walk(networks: Components, latents: Tensor, known: Tensor) -> Tensor:
    """The latents without noise, window by window, each with taps of its own."""
    brushnet, unet, prompt = networks.brushnet, networks.unet, networks.prompt_embeds
    for index, (begin, end) in enumerate(timestep_pairs(STEPS)):
        merged, covered = torch.empty_like(latents), 0
        for start in window_starts(len(latents), WINDOW, index):
            span = slice(start, start + WINDOW)
            setting = brushnet.layer_inputs(begin, prompt, 1)
            residuals = list(brushnet.residuals(latents[span], known[span], setting))
            noise = unet(
                latents[span], unet.layer_inputs(begin, prompt, 1), WINDOW, iter(residuals)
            )
            result = step(latents[span], noise, begin=begin, end=end)
            covered = merge_window(merged, covered, result, start)
        latents = merged
    return latents


def tiny_networks() -> Components:
    """Networks of the published kind, narrow, with random weights; the VAE is not used."""
    torch.manual_seed(11)
    shape = {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 16}
    brushnet = BrushNet(**shape, attention_head_dim=2).eval()
    unet = MotionUNet(**shape, num_attention_heads=2, motion_num_attention_heads=2).eval()
    return Components(brushnet, unet, AutoencoderKL(), torch.randn((1, 8, 16)))


def _cpu_seconds(run: Callable[[], Tensor]) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = time.process_time()
    try:
        run()
    finally:
        torch.set_num_threads(threads)
    return time.process_time() - before
