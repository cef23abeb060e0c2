"""The configured folders: start-up checks, lost mounts, permissions. Knows no job."""
