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
    edited_ts   TEXT NOT NULL DEFAULT '',      -- Slack's time of the newest edit that was applied; since version 3
    deleted_at  INTEGER,                       -- when Slack said that the message is gone; since version 3
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
    link_key      TEXT NOT NULL DEFAULT '',      -- the link without what does not tell pages apart; since version 3
    withdrawn_at  INTEGER,                       -- the link was taken back before the job was final or after; since version 3
    CHECK ((state = 'final') = (outcome <> '')),
    CHECK ((state = 'final') = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (id) WHERE state <> 'final';
CREATE INDEX IF NOT EXISTS jobs_message ON jobs (message_id);
CREATE INDEX IF NOT EXISTS jobs_link ON jobs (link_key, created_at) WHERE link_key <> '';

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

-- Since version 3, what follows.

-- Deliveries of Slack that are no new message, so that a repeated one changes nothing: edits,
-- deletions, reactions. Kept for two days.
CREATE TABLE IF NOT EXISTS events (
    event_id    TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_received ON events (received_at);

-- Up to where each channel's messages are known without a gap, or older than one that was removed.
CREATE TABLE IF NOT EXISTS channels (
    channel_id TEXT PRIMARY KEY,
    seen_ts    TEXT NOT NULL,                    -- Slack's time of the last such message
    updated_at INTEGER NOT NULL
) STRICT;

-- The replies of a job: a row is written before the request and holds what is known after it.
CREATE TABLE IF NOT EXISTS posts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    part         INTEGER NOT NULL,               -- 0, 1, … of a comment that needs several messages
    channel_id   TEXT NOT NULL,
    thread_ts    TEXT NOT NULL,
    attempt      INTEGER NOT NULL,               -- jobs.attempt that asked last
    asked_at     INTEGER NOT NULL,               -- when it asked
    reply_ts     TEXT NOT NULL DEFAULT '',       -- '' = it is not known whether Slack took it
    posted_at    INTEGER,
    retract_at   INTEGER,                        -- since when it is to be deleted in Slack
    retracted_at INTEGER,                        -- since when it is
    UNIQUE (job_id, part)
) STRICT;
CREATE INDEX IF NOT EXISTS posts_reply ON posts (channel_id, reply_ts) WHERE reply_ts <> '';
CREATE INDEX IF NOT EXISTS posts_retract ON posts (retract_at) WHERE retract_at IS NOT NULL AND retracted_at IS NULL;

-- People's reactions to replies: the newest event of each wins, one taken back stays as removed.
CREATE TABLE IF NOT EXISTS reactions (
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    user_id    TEXT NOT NULL,
    reaction   TEXT NOT NULL,                    -- Slack's name without colons, such as +1
    verdict    INTEGER NOT NULL,                 -- 1 or -1
    event_ts   TEXT NOT NULL,                    -- Slack's time of the newest event
    removed    INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (job_id, user_id, reaction)
) STRICT;
