"""Where and when text is drawn over the picture."""
