"""Files that are whole or absent: atomic writes, moves, safe names. Knows no job."""
