"""Worker processes: start, messages, supervision, memory. Knows no folder but the job's."""
