"""Checks of the sources, and parts of the documentation made from them."""
