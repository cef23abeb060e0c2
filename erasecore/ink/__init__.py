"""What was drawn: its alpha and its colour, and how to undo it."""
