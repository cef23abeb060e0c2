"""What fills the hole: one protocol, several engines."""
