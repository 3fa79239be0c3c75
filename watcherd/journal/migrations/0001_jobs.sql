-- Jobs, what was asked for them, what was answered, and what is known of endpoints. Paths are bytes, times seconds since the epoch (UTC).
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    inbox       TEXT    NOT NULL,
    folder      BLOB    NOT NULL,
    path        BLOB    NOT NULL,
    dev         INTEGER NOT NULL,
    ino         INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    ctime_ns    INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,
    until       REAL,
    plan        TEXT,
    fault       TEXT,
    warnings    TEXT    NOT NULL DEFAULT '[]',
    quick       TEXT,
    sha256      TEXT,
    request     TEXT,
    heard       TEXT,
    settings    TEXT,
    written     TEXT,
    settled_at  REAL    NOT NULL,
    changed_at  REAL    NOT NULL
) STRICT;

CREATE UNIQUE INDEX jobs_open_path ON jobs (inbox, path)
    WHERE state NOT IN ('done', 'failed', 'skipped');
CREATE INDEX jobs_open_folder ON jobs (inbox, folder)
    WHERE state NOT IN ('done', 'failed', 'skipped');
CREATE INDEX jobs_next ON jobs (inbox, state, settled_at, id);
CREATE INDEX jobs_until ON jobs (until) WHERE state = 'waiting';
CREATE INDEX jobs_quick ON jobs (quick) WHERE quick IS NOT NULL;
CREATE INDEX jobs_content ON jobs (sha256, request) WHERE sha256 IS NOT NULL;
CREATE INDEX jobs_recent ON jobs (state, changed_at);
CREATE INDEX jobs_path ON jobs (inbox, path);

-- Files that stay in their inbox, as they were when their last job ended: only a change makes them arrive anew.
-- A file that is not found there any more is missing since then; it is forgotten in the end.
CREATE TABLE kept (
    inbox         TEXT    NOT NULL,
    folder        BLOB    NOT NULL,
    path          BLOB    NOT NULL,
    size          INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    job_id        INTEGER NOT NULL REFERENCES jobs (id),
    missing_since REAL,
    PRIMARY KEY (inbox, folder, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_job ON kept (job_id);

-- One row a request, written before its first byte leaves. Rounds count a job's from 1, fall-backs included;
-- a probe has no job. The seconds are of audio; they may be known only once it is answered.
CREATE TABLE requests (
    id         INTEGER PRIMARY KEY,
    endpoint   TEXT    NOT NULL,
    job_id     INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
    part       INTEGER NOT NULL DEFAULT 0,
    round      INTEGER NOT NULL,
    sent_at    REAL    NOT NULL,
    ended_at   REAL,
    seconds    REAL,
    bytes      INTEGER NOT NULL,
    fault      TEXT
) STRICT;
CREATE INDEX requests_job ON requests (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX requests_time ON requests (sent_at);

-- What the endpoint answered, as it came: paid for, so on disk before anything reads it.
CREATE TABLE replies (
    job_id      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    part        INTEGER NOT NULL,
    format      TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    received_at REAL    NOT NULL,
    PRIMARY KEY (job_id, part)
) STRICT;

-- Where the audio of a job is cut: on record before the first request for a part. Seconds; the end of a file
-- that is sent as it is is infinite. The numbers of a job never come again.
CREATE TABLE parts (
    job_id    INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    start     REAL    NOT NULL,
    end       REAL    NOT NULL,
    own_start REAL    NOT NULL,
    own_end   REAL    NOT NULL,
    silent    INTEGER NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT;

-- What is paused: by an endpoint's fault until a time, or by hand until a person ends it.
CREATE TABLE pauses (
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    by_hand INTEGER NOT NULL,
    since   REAL    NOT NULL,
    until   REAL,
    fault   TEXT,
    PRIMARY KEY (kind, name, by_hand)
) STRICT;

-- What servers taught us of themselves, so that no file begins with a refusal that is known.
CREATE TABLE learned (
    base_url   TEXT NOT NULL,
    model      TEXT NOT NULL,
    what       TEXT NOT NULL,
    value      TEXT NOT NULL,
    learned_at REAL NOT NULL,
    PRIMARY KEY (base_url, model, what)
) STRICT;

-- What hooks and webhooks are to be told: on record with the move that it tells of, until it has been told. The
-- mark finds the configured command or address again; neither is here, since they may hold a secret.
CREATE TABLE notices (
    id       INTEGER PRIMARY KEY,
    event_id TEXT    NOT NULL,
    event    TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    inbox    TEXT    NOT NULL,
    job_id   INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
    target   TEXT    NOT NULL,
    mark     TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    made_at  REAL    NOT NULL,
    due_at   REAL    NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    ended_at REAL,
    ending   TEXT,
    detail   TEXT    NOT NULL DEFAULT '',
    output   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX notices_open ON notices (kind, inbox, mark, attempts) WHERE ended_at IS NULL;
CREATE INDEX notices_job ON notices (job_id) WHERE job_id IS NOT NULL;
