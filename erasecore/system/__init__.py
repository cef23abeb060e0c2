"""Operating system services without numpy: atomic files, failpoints, progress, versions."""
