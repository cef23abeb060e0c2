"""The five folders of a root: start-up checks, lost mounts, permissions. Knows no job."""
