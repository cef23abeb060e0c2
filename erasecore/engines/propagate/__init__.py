"""The CPU engine: background recovered along trajectories, the rest inpainted."""
