"""The media room: what a file is (sniff), what is in it (probe), and its audio in parts to send (pool).

sniff.py      pure: a file's first bytes in, its container and its name for an upload out
head.py       rim: an open descriptor in, those first bytes out
findings.py   pure: what a worker finds out, and why it may refuse
tracks.py     pure: which of a file's tracks is meant
cut.py        pure: where parts begin and end
levels.py     pure: where nothing is heard
codec.py      pure: what parts can be encoded as
pool.py       the daemon's side: descriptors in; findings, parts or a fault out
stream.py     one pass of a worker through a file, as the daemon sees it
worker.py     the child's side: one answer to a question; what it hands over meanwhile, outlet.py sends
making.py     samples in, parts out; with encoding.py
              opening.py, probe.py, decoding.py and encoding.py are the only modules that load FFmpeg
"""
