"""The command line: parsing, one module per command group, progress bars. Nothing imports it."""
