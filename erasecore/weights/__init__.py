"""Where model weights lie and whether they are intact. Loads none, downloads none."""
