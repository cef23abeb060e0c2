"""Plans for films: detection, text and forecast without erasing, and plans obeyed."""
