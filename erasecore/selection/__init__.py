"""User input that narrows what is erased: masks, times of a subtitle file, time ranges."""
