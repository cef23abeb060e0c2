"""Background recovery: plans segments and clips, removes ink from clips. Encodes nothing."""
