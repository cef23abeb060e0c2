"""Status snapshots: written by the daemon, read and shown by ``status``. Imports little."""
