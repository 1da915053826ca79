-- The database of evaluations. Times are µs since 1970, UTC.
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS evaluations (
    id         TEXT PRIMARY KEY,
    spec       TEXT    NOT NULL, -- Spec as JSON
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,          -- NULL: it was not brought to its end
    results    BLOB              -- eval_results.json
);

-- What a stage of a try came to: what was paid for and must not be paid for again.
CREATE TABLE IF NOT EXISTS steps (
    evaluation_id TEXT    NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    example       TEXT    NOT NULL,
    repetition    INTEGER NOT NULL,
    stage         TEXT    NOT NULL,
    result        TEXT    NOT NULL, -- Facts or Comment as JSON
    analysis      TEXT    NOT NULL, -- Analysis as JSON
    seconds       REAL    NOT NULL,
    PRIMARY KEY (evaluation_id, example, repetition, stage)
);

CREATE TABLE IF NOT EXISTS tries (
    evaluation_id TEXT    NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    example       TEXT    NOT NULL,
    repetition    INTEGER NOT NULL,
    try           TEXT    NOT NULL, -- Try as JSON
    PRIMARY KEY (evaluation_id, example, repetition)
);

-- Verdicts of a judge, by a hash of everything that they depend on.
CREATE TABLE IF NOT EXISTS verdicts (
    key        TEXT PRIMARY KEY,
    verdict    TEXT    NOT NULL, -- JSON
    created_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    size       INTEGER NOT NULL,
    sent_at    INTEGER,
    refused_at INTEGER,
    error      TEXT
);
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (id) WHERE sent_at IS NULL AND refused_at IS NULL;
