-- From when a key makes new things; unset for the keys of version 1, which did so at once.
ALTER TABLE keys ADD COLUMN active_from INTEGER;

-- One row. Every change of the ring raises the version, and is made on condition of the one it was planned on.
CREATE TABLE key_ring (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO key_ring (one, version) VALUES (1, 0);
