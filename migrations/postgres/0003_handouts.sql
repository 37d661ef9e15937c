-- What of a document left this service. A row is reserved, and committed,
-- before the first of its bytes goes; how many went is written when the stream
-- has ended. No row, no byte. Partitioned by the job's month, and dropped with
-- it.

CREATE TABLE handouts (
    job_id UUID NOT NULL,
    -- The event in the log that committed with the row; for a letter, its batch.
    id UUID NOT NULL,
    tenant TEXT NOT NULL,
    -- Which process answers for it.
    epoch UUID NOT NULL,
    -- view, save or partner.
    way TEXT NOT NULL,
    -- The session's label, or the partner's name.
    receiver TEXT NOT NULL,
    at BIGINT NOT NULL,
    from_byte BIGINT NOT NULL,
    to_byte BIGINT NOT NULL,
    -- Bytes that were handed over; nothing while that is not known.
    taken BIGINT,
    -- When it ended, or was given up as never to be known.
    ended_at BIGINT,
    PRIMARY KEY (job_id, id)
) PARTITION BY RANGE (job_id);
CREATE INDEX handouts_open ON handouts (epoch) WHERE ended_at IS NULL;

-- Frozen is not revoked: nothing opens and nothing flows until it is lifted.
ALTER TABLE jobs ADD COLUMN frozen_at BIGINT;
CREATE TABLE frozen_tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    frozen_at BIGINT NOT NULL
);

-- The months that exist already get theirs.
DO $$
DECLARE
    month RECORD;
BEGIN
    FOR month IN
        SELECT right(c.relname, 6) AS label, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'jobs'::regclass
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF handouts %s',
                       'handouts_' || month.label, month.bound);
    END LOOP;
END $$;

-- As before, with the months of the handouts beside those of the jobs.
CREATE OR REPLACE FUNCTION ensure_month(label TEXT, low UUID, high UUID, low_day BIGINT,
                                        high_day BIGINT)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    parent TEXT;
BEGIN
    IF label !~ '^[0-9]{6}$' THEN
        RAISE EXCEPTION 'not a month';
    END IF;
    PERFORM pg_advisory_xact_lock(5460951);
    FOREACH parent IN ARRAY ARRAY['jobs', 'audit_events', 'evidence', 'handouts'] LOOP
        IF to_regclass(parent || '_' || label) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)%s',
                           parent || '_' || label, parent, low, high,
                           CASE WHEN parent = 'jobs' THEN ' WITH (fillfactor = 50)' ELSE '' END);
        END IF;
    END LOOP;
    IF to_regclass('links_' || label) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF links FOR VALUES FROM (%L) TO (%L)',
                       'links_' || label, low_day, high_day);
    END IF;
END $$;

-- As before; what left goes off the books with the deliveries of its month.
CREATE OR REPLACE FUNCTION drop_month(label TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    parent TEXT;
BEGIN
    PERFORM set_config('lock_timeout', '2s', TRUE);
    IF NOT month_is_spent(label) THEN
        RETURN FALSE;
    END IF;
    FOREACH parent IN ARRAY ARRAY['handouts', 'links', 'jobs'] LOOP
        IF to_regclass(parent || '_' || label) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, parent || '_' || label);
            EXECUTE format('DROP TABLE %I', parent || '_' || label);
        END IF;
    END LOOP;
    RETURN TRUE;
END $$;

-- Links that are issued again: what was asked, and the sealed mail that takes
-- the place of the one in the segment.
CREATE TABLE reissues (
    job_id UUID NOT NULL PRIMARY KEY,
    asked_at BIGINT NOT NULL,
    ttl_seconds BIGINT NOT NULL,
    -- Which mail of the delivery it is: 2 is the first that is issued again.
    number BIGINT NOT NULL,
    mail BYTEA,
    mail_hour BIGINT
);
