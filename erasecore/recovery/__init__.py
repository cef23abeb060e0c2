"""Recovering the background of a clip: plans, unblending, filling. Encodes nothing."""
