"""Downloading and verifying model weights; the only package that uses the network."""
