"""What lies in the inbox and which films may be claimed next. Never moves a file."""
