"""Configuration from YAML and the environment as frozen records; reads files, writes none."""
