"""Model weights: their layout on disk and integrity check (SHA-256). Loads and downloads none."""
