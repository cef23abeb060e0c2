"""Decides what happens to files; knows no pixel."""
