"""What the user asked to be erased: masks, cues of a subtitle file, time ranges."""
