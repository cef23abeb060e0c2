"""OCR of the erased lines, and the subtitle file (SRT) made of it. Changes no pixel."""
