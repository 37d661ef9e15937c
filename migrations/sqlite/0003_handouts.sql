-- What of a document left this service. A row is reserved, and committed,
-- before the first of its bytes goes; how many went is written when the stream
-- has ended. No row, no byte.

CREATE TABLE handouts (
    job_id BLOB NOT NULL,
    -- The event in the log that committed with the row; for a letter, its batch.
    id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    -- Which process answers for it.
    epoch BLOB NOT NULL,
    -- view, save or partner.
    way TEXT NOT NULL,
    -- The session's label, or the partner's name.
    receiver TEXT NOT NULL,
    at INTEGER NOT NULL,
    from_byte INTEGER NOT NULL,
    to_byte INTEGER NOT NULL,
    -- Bytes that were handed over; nothing while that is not known.
    taken INTEGER,
    -- When it ended, or was given up as never to be known.
    ended_at INTEGER,
    PRIMARY KEY (job_id, id)
) STRICT;
CREATE INDEX handouts_open ON handouts (epoch) WHERE ended_at IS NULL;

-- Frozen is not revoked: nothing opens and nothing flows until it is lifted.
ALTER TABLE jobs ADD COLUMN frozen_at INTEGER;
CREATE TABLE frozen_tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    frozen_at INTEGER NOT NULL
) STRICT;

-- Links that are issued again: what was asked, and the sealed mail that takes
-- the place of the one in the segment.
CREATE TABLE reissues (
    job_id BLOB NOT NULL PRIMARY KEY,
    asked_at INTEGER NOT NULL,
    ttl_seconds INTEGER NOT NULL,
    -- Which mail of the delivery it is: 2 is the first that is issued again.
    number INTEGER NOT NULL,
    mail BLOB,
    mail_hour INTEGER
) STRICT;
