"""Process plumbing of the daemon: wake-ups, systemd, logs, host problems. Knows no film."""
