"""The judge: text as other people's films have it, with exact truth, and films with none at all."""
