-- A database as version 2 of the schema left it before there was a key of pseudonyms: one job
-- running in full detail, one waiting, one final.

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
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
    url           TEXT NOT NULL DEFAULT '',
    domain        TEXT NOT NULL DEFAULT '',
    retry_of      INTEGER REFERENCES jobs (id),
    state         TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'final')),
    outcome       TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'success', 'gate_failed', 'no_urls', 'error', 'cancelled')),
    detail        TEXT NOT NULL DEFAULT '' CHECK (detail IN ('', 'off', 'tracking', 'full')),
    attempt       INTEGER NOT NULL DEFAULT 0,
    attempt_open  INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    kills         INTEGER NOT NULL DEFAULT 0,
    error_type    TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    decision      TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'final') = (outcome <> '')),
    CHECK ((state = 'final') = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (id) WHERE state <> 'final';
CREATE INDEX IF NOT EXISTS jobs_message ON jobs (message_id);

CREATE TABLE IF NOT EXISTS stages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        INTEGER NOT NULL REFERENCES jobs (id),
    stage         TEXT NOT NULL CHECK (stage IN ('retrieval', 'stage_a', 'stage_b', 'quality_gates', 'slack_post')),
    attempt       INTEGER NOT NULL,
    span_id       TEXT NOT NULL DEFAULT '',
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    error_type    TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    result        TEXT,
    analysis      TEXT,
    UNIQUE (job_id, stage, attempt)
) STRICT;

CREATE TABLE IF NOT EXISTS outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    body       BLOB NOT NULL,
    size       INTEGER NOT NULL,
    sent_at    INTEGER,
    refused_at INTEGER,
    error      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (id) WHERE sent_at IS NULL AND refused_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

INSERT INTO meta VALUES ('store_id', '6f1c5f0e-6d0c-4f4e-9a57-0a4e5f1b2c3d'), ('schema_version', '2');
INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C1', '1.1', 1000000);
INSERT INTO jobs (id, message_id, url, domain, state, outcome, detail, attempt, attempt_open, created_at, started_at, finished_at, decision) VALUES
    (1, 1, 'https://a.org/', 'a.org', 'running', '', 'full', 1, 1, 1000000, 2000000, NULL, '{"detail":"full","by":"settings","ratio":0.5}'),
    (2, 1, 'https://b.org/', 'b.org', 'pending', '', '', 0, 0, 1000000, NULL, NULL, ''),
    (3, 1, 'https://c.org/', 'c.org', 'final', 'success', 'tracking', 1, 0, 1000000, 2000000, 3000000, '{"detail":"tracking","by":"settings","ratio":0.5}');
INSERT INTO stages (job_id, stage, attempt, started_at, ended_at, result) VALUES (1, 'retrieval', 1, 2000000, 2500000, '{}');
