-- Times are milliseconds since 1970; ids are the 16 bytes of a UUID.
CREATE TABLE users (
    id              BLOB PRIMARY KEY,
    email           TEXT NOT NULL,
    email_verified  INTEGER NOT NULL,
    username        TEXT,
    status          TEXT NOT NULL,
    epoch           INTEGER NOT NULL,
    password_scheme TEXT NOT NULL,
    password_pepper TEXT,
    password_hash   TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    last_login_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX users_email ON users (email);
CREATE UNIQUE INDEX users_username ON users (username) WHERE username IS NOT NULL;

CREATE TABLE user_roles (
    user     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    role     TEXT NOT NULL,
    PRIMARY KEY (user, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_role ON user_roles (role);

CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL
) STRICT;

CREATE TABLE role_permissions (
    role       TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id                  BLOB PRIMARY KEY,
    user                BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch               INTEGER NOT NULL,
    generation          INTEGER NOT NULL,
    refresh_fingerprint BLOB NOT NULL,
    created_at          INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    ends_at             INTEGER NOT NULL,
    address             TEXT,
    user_agent          TEXT
) STRICT;
CREATE INDEX sessions_user ON sessions (user, expires_at);

CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    number     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    state      TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    UNIQUE (kind, number)
) STRICT;
