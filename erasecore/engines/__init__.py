"""Inpainting engines: one protocol (`base.Engine`) and its implementations."""
