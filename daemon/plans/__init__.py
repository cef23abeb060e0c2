"""Plan files: plans of films as YAML that people read and edit."""
