"""Head: an open descriptor in, the first bytes that tell its container out. Blocking; touches one file."""

from __future__ import annotations

import os

from watcherd.media.sniff import HEAD_BYTES, tag_length

_TAGS_AT_MOST = 8


def read_head(fd: int) -> bytes:
    """The first 64 KiB after any ID3v2 tags, for `sniff`; the descriptor's own offset is left alone.

    A podcast's tag holds its cover, and is often larger than 64 KiB itself. Raises OSError.
    """
    offset = 0
    head = os.pread(fd, HEAD_BYTES, 0)
    for _ in range(_TAGS_AT_MOST):
        tag = tag_length(head)
        if not tag:
            break
        offset += tag
        head = os.pread(fd, HEAD_BYTES, offset)
    return head
