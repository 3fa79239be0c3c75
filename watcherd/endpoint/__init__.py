"""The endpoint: one request for one file, any answer read, any failure diagnosed, a gate before it all."""
