"""What is raised where there is no journal to work with; commands name it without loading the journal."""

from __future__ import annotations


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""
