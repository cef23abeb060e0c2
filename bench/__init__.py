"""Measures quality, speed and memory, against simpler methods and against plain transcoding."""
