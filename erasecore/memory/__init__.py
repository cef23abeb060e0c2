"""Out of memory (OOM): recognition, the ladder of smaller batches, release of memory."""
