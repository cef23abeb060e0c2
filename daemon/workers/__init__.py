"""Worker processes: starting, messages, memory, supervision. Knows no folder but the job's."""
