-- The office on PostgreSQL. Ids are UUID version 7 and carry their time, so
-- that the monthly partitions prune by id; instants are microseconds since
-- 1970; days are days since 1970-01-01 in the tenant's calendar. Everything
-- personal is ciphertext from the first write.

CREATE TABLE jobs (
    id UUID NOT NULL,
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT,
    test_mode BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    send_at BIGINT NOT NULL,
    stage_at BIGINT NOT NULL,
    dispatched_at BIGINT,
    purge_at BIGINT,
    purge_day BIGINT NOT NULL,
    purged_at BIGINT,
    segment UUID,
    artifact_offset BIGINT,
    artifact_len BIGINT,
    mail_offset BIGINT,
    mail_len BIGINT,
    mail_hour BIGINT,
    pdf_len BIGINT,
    pdf_sha256 BYTEA,
    pages BIGINT,
    template TEXT,
    renderer TEXT,
    trace TEXT,
    -- What is large and rarely changes comes last: an update writes ahead only
    -- what differs from the front.
    payload BYTEA,
    wrapped_key BYTEA,
    personal BYTEA,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX jobs_due ON jobs (purge_day) WHERE purged_at IS NULL;
CREATE INDEX jobs_tenant ON jobs (tenant, id);
-- What needs a person. The stage itself stands in no index: it changes on the
-- hot path, a reason does not.
CREATE INDEX jobs_trouble ON jobs (reason, id) WHERE reason IS NOT NULL AND purged_at IS NULL;

CREATE TABLE links (
    day BIGINT NOT NULL,
    print BYTEA NOT NULL,
    job_id UUID NOT NULL,
    tenant TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    max_opens BIGINT NOT NULL,
    opens BIGINT NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (day, print)
) PARTITION BY RANGE (day);
CREATE INDEX links_job ON links (job_id);

CREATE TABLE audit_events (
    id UUID NOT NULL,
    tenant TEXT NOT NULL,
    job_id UUID,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    code TEXT,
    leaf BYTEA NOT NULL,
    detail BYTEA,
    detail_key TEXT,
    leaf_index BIGINT,
    PRIMARY KEY (tenant, id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_events_job ON audit_events (job_id, id);

CREATE TABLE evidence (
    job_id UUID NOT NULL,
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    recipient_index BYTEA NOT NULL,
    number TEXT,
    transaction_day BIGINT,
    amount_minor BIGINT,
    currency TEXT,
    counterparty_index BYTEA,
    counterparty BYTEA,
    counterparty_code TEXT,
    evidence_year BIGINT NOT NULL,
    PRIMARY KEY (job_id)
) PARTITION BY RANGE (job_id);
CREATE INDEX evidence_recipient ON evidence (tenant, recipient_index);
CREATE INDEX evidence_counterparty ON evidence (tenant, counterparty_index);
CREATE INDEX evidence_day ON evidence (tenant, transaction_day, amount_minor);
CREATE INDEX evidence_number ON evidence (tenant, number);

CREATE TABLE dedupe (
    print BYTEA NOT NULL PRIMARY KEY,
    payload_mac BYTEA NOT NULL,
    job_id UUID NOT NULL
);

CREATE TABLE work (
    job_id UUID NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    step TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    crashes BIGINT NOT NULL,
    first_try_at BIGINT,
    lease_epoch UUID,
    sending_since BIGINT
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX work_due ON work (tenant, run_at) WHERE lease_epoch IS NULL;
CREATE INDEX work_leased ON work (lease_epoch) WHERE lease_epoch IS NOT NULL;

CREATE TABLE outbox (
    id UUID NOT NULL PRIMARY KEY,
    routing_key TEXT NOT NULL,
    sealed BYTEA NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE segments (
    id UUID NOT NULL PRIMARY KEY,
    opened_at BIGINT NOT NULL,
    epoch UUID NOT NULL,
    live BIGINT NOT NULL,
    sealed_count BIGINT NOT NULL,
    closed_at BIGINT,
    destroyed_at BIGINT
);

CREATE TABLE workers (
    epoch UUID NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    roles TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    alive_until BIGINT NOT NULL,
    stopped_at BIGINT
);

CREATE TABLE leaders (
    name TEXT NOT NULL PRIMARY KEY,
    epoch UUID NOT NULL,
    until BIGINT NOT NULL,
    last_run_at BIGINT NOT NULL
);

CREATE TABLE pieces (
    job_id UUID NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    partner TEXT NOT NULL,
    state TEXT NOT NULL,
    batch UUID,
    pages BIGINT NOT NULL,
    sha256 BYTEA,
    handed_at BIGINT,
    accepted_at BIGINT,
    posted_on TEXT,
    returned_on TEXT,
    reason TEXT,
    silent_after BIGINT
);
CREATE INDEX pieces_batch ON pieces (batch);
CREATE INDEX pieces_waiting ON pieces (partner) WHERE batch IS NULL;
CREATE INDEX pieces_silent ON pieces (silent_after) WHERE silent_after IS NOT NULL;

CREATE TABLE batches (
    id UUID NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    cutoff_at BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    handed_at BIGINT,
    piece_count BIGINT NOT NULL
);
CREATE INDEX batches_open ON batches (partner) WHERE handed_at IS NULL;

CREATE TABLE checkpoints (
    name TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    value TEXT NOT NULL
);

-- The log is append only. Its place in the tree is given once, later.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.leaf_index IS NULL AND NEW.leaf_index IS NOT NULL
       AND (NEW.id, NEW.tenant, NEW.at, NEW.kind, NEW.leaf)
           = (OLD.id, OLD.tenant, OLD.at, OLD.kind, OLD.leaf)
       AND NEW.job_id IS NOT DISTINCT FROM OLD.job_id
       AND NEW.code IS NOT DISTINCT FROM OLD.code
       AND NEW.detail IS NOT DISTINCT FROM OLD.detail
       AND NEW.detail_key IS NOT DISTINCT FROM OLD.detail_key THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the log is append only';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();

-- Creates the partitions of one month unless they exist. `label` is yyyymm;
-- the bounds are the smallest ids and the days of this month and the next.
CREATE FUNCTION ensure_month(label TEXT, low UUID, high UUID, low_day BIGINT, high_day BIGINT)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    parent TEXT;
BEGIN
    IF label !~ '^[0-9]{6}$' THEN
        RAISE EXCEPTION 'not a month';
    END IF;
    PERFORM pg_advisory_xact_lock(5460951);
    FOREACH parent IN ARRAY ARRAY['jobs', 'audit_events', 'evidence'] LOOP
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

-- Whether all of a month is over and purged, and its links as well.
CREATE FUNCTION month_is_spent(label TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    kept BOOLEAN := FALSE;
BEGIN
    IF label !~ '^[0-9]{6}$' THEN
        RAISE EXCEPTION 'not a month';
    END IF;
    IF to_regclass('jobs_' || label) IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE purged_at IS NULL)', 'jobs_' || label)
            INTO kept;
    END IF;
    IF NOT kept AND to_regclass('links_' || label) IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I l JOIN jobs j ON j.id = l.job_id
                                       WHERE j.purged_at IS NULL)', 'links_' || label)
            INTO kept;
    END IF;
    RETURN NOT kept;
END $$;

CREATE FUNCTION spent_months(before TEXT) RETURNS SETOF TEXT LANGUAGE sql AS $$
    SELECT DISTINCT m.label FROM (
        SELECT right(c.relname, 6) AS label FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('jobs'::regclass, 'links'::regclass)
    ) m
    WHERE m.label < before AND month_is_spent(m.label)
$$;

-- Drops a month's deliveries and links, if nothing in it is needed.
CREATE FUNCTION drop_month(label TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    parent TEXT;
BEGIN
    PERFORM set_config('lock_timeout', '2s', TRUE);
    IF NOT month_is_spent(label) THEN
        RETURN FALSE;
    END IF;
    FOREACH parent IN ARRAY ARRAY['links', 'jobs'] LOOP
        IF to_regclass(parent || '_' || label) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, parent || '_' || label);
            EXECUTE format('DROP TABLE %I', parent || '_' || label);
        END IF;
    END LOOP;
    RETURN TRUE;
END $$;
