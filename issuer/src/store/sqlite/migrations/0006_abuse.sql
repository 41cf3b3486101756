-- How often somebody tried. Keys are keyed hashes: no name and no address can be read from them.
CREATE TABLE attempts (
    key            BLOB PRIMARY KEY,
    account        BLOB,
    count          INTEGER NOT NULL,
    closed_until   INTEGER NOT NULL,
    forgotten_at   INTEGER NOT NULL,
    familiar_until INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_account ON attempts (account) WHERE account IS NOT NULL;
CREATE INDEX attempts_expires_at ON attempts (expires_at);

-- Without a user: somebody tried to be one who does not exist. Without a failure: it succeeded, and then it has a device.
CREATE TABLE logins (
    id         BLOB PRIMARY KEY,
    user       BLOB REFERENCES users (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    address    TEXT,
    user_agent TEXT,
    failure    TEXT,
    device     TEXT
) STRICT;
CREATE INDEX logins_user_at ON logins (user, at, id);
CREATE INDEX logins_user_device ON logins (user, device) WHERE device IS NOT NULL;
CREATE INDEX logins_at ON logins (at);

-- No reference to users: what was raised about somebody outlives him.
CREATE TABLE alerts (
    id         BLOB PRIMARY KEY,
    user       BLOB NOT NULL,
    at         INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    data       TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_at ON alerts (at, id);
