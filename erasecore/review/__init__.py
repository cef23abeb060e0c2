"""Checking a result: residual text, fidelity away from the ink, previews. Changes no pixel."""
