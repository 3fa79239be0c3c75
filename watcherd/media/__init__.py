"""The media room: what a file is (sniff), what is in it (probe), and its audio as FLAC (prepare).

sniff.py      pure: a file's first bytes in, its container and its name for an upload out
head.py       rim: an open descriptor in, those first bytes out
findings.py   pure: what a worker finds out, and why it may refuse
pool.py       the daemon's side: descriptors in, findings out, a fault where there are none
worker.py     the child's side: answers probe and to_flac with opening.py, probe.py and prepare.py,
              the only modules that load FFmpeg
"""
