-- Tokens that were mailed: SHA-256 of each, never the token. No reference to users: a token whose owner is gone is dead.
CREATE TABLE one_time_tokens (
    fingerprint BLOB PRIMARY KEY,
    purpose     TEXT NOT NULL,
    -- NULL: written for an address that nobody has.
    user        BLOB,
    epoch       INTEGER,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_tokens_expires_at ON one_time_tokens (expires_at);
