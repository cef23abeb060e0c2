"""Records that every stage shares: events, clips, strips, patches. No stage is imported here."""
