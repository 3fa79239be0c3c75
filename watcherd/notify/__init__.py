"""Notify: files, inboxes and endpoints have events; hooks and webhooks hear of them, each at least once.

news        what there is to hear of
letter      an event as JSON and as environment, the one place that puts it together
addressees  who hears of it, by the configuration
announcer   news in, notices on record out
sender      works the notices off; hook starts a program (through launch), webhook makes a request
"""
