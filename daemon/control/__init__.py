"""Requests of people to a running daemon: read from files, carried out once, answered."""
