"""The starter file that `watcherd init` writes: nothing comes in, the text of a commented file goes out."""

from __future__ import annotations

_TEXT = """\
# watcherd: new audio and video files in an inbox get English subtitles.
#
# As it stands, this file works without any key: the speech is translated on this machine, by Whisper
# (pip install 'watcherd[local]'). Create the inbox, look whether all is well, and start:
#
#     mkdir -p ~/watcherd/inbox
#     watcherd check
#     watcherd run
#
# Durations are written 500ms, 2s, 10m, 24h, 30d; sizes 25MB, 24MiB. In paths, ~ and ${VAR} are filled in.

# To have CometAPI translate instead, take the first "# " from these lines, and set COMETAPI_KEY in the
# environment that watcherd runs in. {file: /path/of/key} and {credential: NAME} (systemd) work, too.
#
# endpoints:
#   cometapi:
#     base_url: https://api.cometapi.com/v1
#     api_key: {env: COMETAPI_KEY}
#     model: whisper-1

folders:
  - inbox: ~/watcherd/inbox     # its sub-folders are watched, too
    # done: ~/watcherd/done     # where originals and subtitles go; without this line, INBOX/done
    # failed: ~/watcherd/failed # where files go that cannot be translated, each with a report; INBOX/failed
    # formats: [srt, vtt, txt]  # which subtitles are written
    # prompt: ""                # names and jargon, in English: the model then spells them right
    # settle: 5s                # a file has arrived when it did not change for this long
"""


def starter() -> str:
    """Give the text of a first configuration, which is valid as it is."""
    return _TEXT
