-- The outbox learns which way an entry goes and how far it has come. The table is made anew, because its old rule that
-- numbers are unique holds for events alone: their ids are made of user and number, so the primary key keeps it.
ALTER TABLE outbox RENAME TO outbox_before;

CREATE TABLE outbox (
    id         BLOB PRIMARY KEY,
    channel    TEXT NOT NULL DEFAULT 'events',
    state      TEXT NOT NULL DEFAULT 'waiting',
    user       BLOB NOT NULL,
    sequence   INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    data       TEXT NOT NULL,
    -- When to try it; once it has left, when that was.
    due        INTEGER NOT NULL DEFAULT 0,
    claim      BLOB,
    attempts   INTEGER NOT NULL DEFAULT 0,
    reason     TEXT
) STRICT;
INSERT INTO outbox (id, user, sequence, kind, at, request_id, data)
SELECT id, user, sequence, kind, at, request_id, data FROM outbox_before;
DROP TABLE outbox_before;

-- The oldest first; then one user's in their order.
CREATE INDEX outbox_oldest ON outbox (channel, state, at);
CREATE INDEX outbox_user ON outbox (channel, state, user, sequence);
