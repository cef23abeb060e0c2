"""Reading erased lines (OCR) and writing them as SRT. Erases nothing."""
