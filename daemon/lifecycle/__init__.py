"""Collaborators of the service, one role each; ``daemon.service`` calls them in turn."""
