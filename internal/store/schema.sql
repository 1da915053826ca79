-- The job database. Times are whole microseconds since 1970-01-01 UTC.
-- River's own tables live beside these; `jobs` and `stages` are the truth.
-- Frozen: a change needs a decision file, a fixture and a migration that resumes
-- the previous version's database.

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL            -- store_id (UUID), pseudonym_key (secret), schema_version, notes
) STRICT;

CREATE TABLE IF NOT EXISTS messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id  TEXT NOT NULL,
    message_ts  TEXT NOT NULL,
    thread_ts   TEXT NOT NULL DEFAULT '',
    user_id     TEXT NOT NULL DEFAULT '',
    text        TEXT NOT NULL DEFAULT '',
    event_id    TEXT NOT NULL DEFAULT '',
    received_at INTEGER NOT NULL,
    UNIQUE (channel_id, message_ts)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS messages_event ON messages (event_id) WHERE event_id <> '';

CREATE TABLE IF NOT EXISTS jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    INTEGER NOT NULL REFERENCES messages (id),
    url           TEXT NOT NULL DEFAULT '',      -- '' = the message holds no link
    domain        TEXT NOT NULL DEFAULT '',
    retry_of      INTEGER REFERENCES jobs (id),
    state         TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'final')),
    outcome       TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'success', 'gate_failed', 'no_urls', 'error', 'cancelled')),
    detail        TEXT NOT NULL DEFAULT '' CHECK (detail IN ('', 'off', 'tracking', 'full')), -- '' until started
    attempt       INTEGER NOT NULL DEFAULT 0,    -- attempts started; fences every write
    attempt_open  INTEGER NOT NULL DEFAULT 0,    -- 1 while an attempt runs; found open at the next one = a kill
    failures      INTEGER NOT NULL DEFAULT 0,
    kills         INTEGER NOT NULL DEFAULT 0,
    error_type    TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,                       -- set once, with detail and decision
    finished_at   INTEGER,
    decision      TEXT NOT NULL DEFAULT '',      -- JSON: why detail is what it is; since version 2
    CHECK ((state = 'final') = (outcome <> '')),
    CHECK ((state = 'final') = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (id) WHERE state <> 'final';
CREATE INDEX IF NOT EXISTS jobs_message ON jobs (message_id);

-- One row per finished attempt at a stage; a stage is done when one of its rows has no error_type.
CREATE TABLE IF NOT EXISTS stages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        INTEGER NOT NULL REFERENCES jobs (id),
    stage         TEXT NOT NULL CHECK (stage IN ('retrieval', 'stage_a', 'stage_b', 'quality_gates', 'slack_post')),
    attempt       INTEGER NOT NULL,              -- jobs.attempt at that time
    span_id       TEXT NOT NULL DEFAULT '',      -- hex
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    error_type    TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    result        TEXT,                          -- JSON
    analysis      TEXT,                          -- JSON
    UNIQUE (job_id, stage, attempt)
) STRICT;

-- OTLP messages (s2-compressed ExportTraceServiceRequest) on their way to the Collector.
CREATE TABLE IF NOT EXISTS outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     INTEGER NOT NULL,
    kind       TEXT NOT NULL,                    -- 'job started', a stage name, 'process jobs', 'feedback'
    created_at INTEGER NOT NULL,
    body       BLOB NOT NULL,
    size       INTEGER NOT NULL,                 -- bytes before compression
    sent_at    INTEGER,                          -- NULL = unsent
    refused_at INTEGER,                          -- set aside: the Collector refused it for good
    error      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (id) WHERE sent_at IS NULL AND refused_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
-- The columns behind body are as far away as body is long: nothing may look for them row by row.
CREATE INDEX IF NOT EXISTS outbox_refused ON outbox (refused_at) WHERE refused_at IS NOT NULL AND sent_at IS NULL;
