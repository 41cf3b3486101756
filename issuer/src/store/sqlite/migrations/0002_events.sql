-- The number of a user's last event.
ALTER TABLE users ADD COLUMN events INTEGER NOT NULL DEFAULT 0;

-- No reference to users: what is told of somebody outlives him.
CREATE TABLE outbox (
    id         BLOB PRIMARY KEY,
    user       BLOB NOT NULL,
    sequence   INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    data       TEXT NOT NULL,
    UNIQUE (user, sequence)
) STRICT;

-- Exactly one of session, user (with epoch) and key. AUTOINCREMENT: a place is never given twice, and the last one is
-- remembered when its row is gone.
CREATE TABLE revocations (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    session BLOB,
    user    BLOB,
    epoch   INTEGER,
    key     TEXT,
    until   INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_until ON revocations (until);
