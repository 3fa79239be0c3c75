-- Jobs, what was asked for them, and what was answered. Paths are bytes, times seconds since the epoch (UTC).
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

-- One row a round of requests, written before the first byte leaves.
CREATE TABLE attempts (
    job_id  INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sent_at REAL    NOT NULL,
    fault   TEXT
) STRICT;
CREATE INDEX attempts_job ON attempts (job_id);

-- What the endpoint answered, as it came: paid for, so on disk before anything reads it.
CREATE TABLE replies (
    job_id      INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    format      TEXT NOT NULL,
    body        BLOB NOT NULL,
    received_at REAL NOT NULL
) STRICT;
