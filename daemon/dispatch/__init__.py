"""Scheduling: admission by memory and space, choice and assignment of films, worker reports."""
