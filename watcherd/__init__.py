"""watcherd: inbox folders in, English subtitles out."""

__version__ = "0.1.0"
