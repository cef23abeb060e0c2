"""Scanning and watching of the inbox; the films that may be claimed next. Never moves a file."""
