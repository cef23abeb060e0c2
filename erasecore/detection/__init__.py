"""Detection of text that is drawn over the picture: its place and its frames."""
