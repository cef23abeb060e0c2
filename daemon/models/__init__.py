"""Weights of the diffusion engine: fetched from the hubs, verified, listed."""
