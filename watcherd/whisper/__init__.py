"""The embedded endpoint: real Whisper on this machine behind the same HTTP contract as any server.

    transport    the daemon's side: an httpx transport that starts and stops the child
    running      the child as the daemon sees it: started, asked how it fares, ended
    server       the child's main: the application on a socket
    app          the HTTP contract over an engine
    engine       audio in, English segments out
    audio        a media file in, 16 kHz mono samples out, in bounded memory
    weights      the model's files: the packaged one put together, any other passed through

Only `transport`, `running`, `weights` and `unusable` may be imported by the daemon: the rest brings
hundreds of megabytes into memory and lives in the child.
"""
