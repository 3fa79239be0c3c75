"""The configuration: a YAML file comes in, a checked `Config` or every problem with its line goes out."""
