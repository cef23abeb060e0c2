"""What was drawn over the picture, and how to undo it."""
