"""The inbox: a watched folder in, settled files out.

Events are hints, the scan is the truth. Read in this order:

    accept, globs, medianames   which names are media at all; explain: every rule for one name (pure)
    settle                      when a file has finished arriving (pure)
    reconcile                   a folder's listing against its open jobs and kept files (pure)
    storage                     the inbox's own threads: a dead mount blocks those, and nothing else
    touch, root                 everything that opens, looks at or locks something in the inbox
    scan, watch                 the walk, and watchdog's events turned into hints
    desk                        what the inbox asks and tells the queue
    arrivals, intake            the running inbox: hints, walks and looks in, `Desk.admit` out
"""
