"""The journal: the SQLite record of every job, its replies and its attempts."""
