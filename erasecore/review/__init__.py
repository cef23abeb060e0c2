"""Checks of a result: residual text, PSNR outside the ink, preview pictures. Changes no pixel."""
