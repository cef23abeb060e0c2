"""Ink that was drawn over the picture: its mask, plates behind it, and unblending."""
