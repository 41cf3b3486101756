-- The order of the list of users.
CREATE INDEX users_created ON users (created_at, id);

-- No reference to users: what was done outlives whoever did it. `before` and `after` are JSON objects.
CREATE TABLE audit (
    id           BLOB PRIMARY KEY,
    at           INTEGER NOT NULL,
    actor        BLOB,
    action       TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject      TEXT NOT NULL,
    before       TEXT NOT NULL,
    after        TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    address      TEXT
) STRICT;
CREATE INDEX audit_at ON audit (at, id);
