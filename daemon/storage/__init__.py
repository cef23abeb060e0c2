"""Atomic writes, moves that overwrite nothing, safe names, failpoints. Knows no job."""
