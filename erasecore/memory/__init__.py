"""Out of memory: recognising it, the ladder of smaller steps, giving memory back."""
