"""Records shared by all stages: events, clips, crops, patches. Imports no stage."""
