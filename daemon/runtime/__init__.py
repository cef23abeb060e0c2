"""What keeps the process running: wake-ups, systemd, logs, host problems. Knows no film."""
