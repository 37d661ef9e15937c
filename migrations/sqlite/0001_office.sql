-- The office on SQLite. Ids are UUID version 7; instants are microseconds since
-- 1970; days are days since 1970-01-01 in the tenant's calendar. Everything
-- personal is ciphertext from the first write.

CREATE TABLE jobs (
    id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT,
    test_mode INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    send_at INTEGER NOT NULL,
    stage_at INTEGER NOT NULL,
    dispatched_at INTEGER,
    purge_at INTEGER,
    purge_day INTEGER NOT NULL,
    purged_at INTEGER,
    segment BLOB,
    artifact_offset INTEGER,
    artifact_len INTEGER,
    mail_offset INTEGER,
    mail_len INTEGER,
    mail_hour INTEGER,
    pdf_len INTEGER,
    pdf_sha256 BLOB,
    pages INTEGER,
    template TEXT,
    renderer TEXT,
    trace TEXT,
    -- What is large and rarely changes comes last: an update writes ahead only
    -- what differs from the front.
    payload BLOB,
    wrapped_key BLOB,
    personal BLOB,
    PRIMARY KEY (id)
) STRICT;
CREATE INDEX jobs_due ON jobs (purge_day) WHERE purged_at IS NULL;
CREATE INDEX jobs_tenant ON jobs (tenant, id);
-- What needs a person. The stage itself stands in no index: it changes on the
-- hot path, a reason does not.
CREATE INDEX jobs_trouble ON jobs (reason, id) WHERE reason IS NOT NULL AND purged_at IS NULL;

CREATE TABLE links (
    day INTEGER NOT NULL,
    print BLOB NOT NULL,
    job_id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    max_opens INTEGER NOT NULL,
    opens INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (day, print)
) STRICT;
CREATE INDEX links_job ON links (job_id);

CREATE TABLE audit_events (
    id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    job_id BLOB,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    code TEXT,
    leaf BLOB NOT NULL,
    detail BLOB,
    detail_key TEXT,
    leaf_index INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX audit_events_job ON audit_events (job_id, id);

CREATE TABLE evidence (
    job_id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    recipient_index BLOB NOT NULL,
    number TEXT,
    transaction_day INTEGER,
    amount_minor INTEGER,
    currency TEXT,
    counterparty_index BLOB,
    counterparty BLOB,
    counterparty_code TEXT,
    evidence_year INTEGER NOT NULL,
    PRIMARY KEY (job_id)
) STRICT;
CREATE INDEX evidence_recipient ON evidence (tenant, recipient_index);
CREATE INDEX evidence_counterparty ON evidence (tenant, counterparty_index);
CREATE INDEX evidence_day ON evidence (tenant, transaction_day, amount_minor);
CREATE INDEX evidence_number ON evidence (tenant, number);

CREATE TABLE dedupe (
    print BLOB NOT NULL PRIMARY KEY,
    payload_mac BLOB NOT NULL,
    job_id BLOB NOT NULL
) STRICT;

CREATE TABLE work (
    job_id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    step TEXT NOT NULL,
    run_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    first_try_at INTEGER,
    lease_epoch BLOB,
    sending_since INTEGER
) STRICT;
CREATE INDEX work_due ON work (tenant, run_at) WHERE lease_epoch IS NULL;
CREATE INDEX work_leased ON work (lease_epoch) WHERE lease_epoch IS NOT NULL;

CREATE TABLE outbox (
    id BLOB NOT NULL PRIMARY KEY,
    routing_key TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE segments (
    id BLOB NOT NULL PRIMARY KEY,
    opened_at INTEGER NOT NULL,
    epoch BLOB NOT NULL,
    live INTEGER NOT NULL,
    sealed_count INTEGER NOT NULL,
    closed_at INTEGER,
    destroyed_at INTEGER
) STRICT;

CREATE TABLE workers (
    epoch BLOB NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    roles TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    alive_until INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;

CREATE TABLE leaders (
    name TEXT NOT NULL PRIMARY KEY,
    epoch BLOB NOT NULL,
    until INTEGER NOT NULL,
    last_run_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pieces (
    job_id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    partner TEXT NOT NULL,
    state TEXT NOT NULL,
    batch BLOB,
    pages INTEGER NOT NULL,
    sha256 BLOB,
    handed_at INTEGER,
    accepted_at INTEGER,
    posted_on TEXT,
    returned_on TEXT,
    reason TEXT,
    silent_after INTEGER
) STRICT;
CREATE INDEX pieces_batch ON pieces (batch);
CREATE INDEX pieces_waiting ON pieces (partner) WHERE batch IS NULL;
CREATE INDEX pieces_silent ON pieces (silent_after) WHERE silent_after IS NOT NULL;

CREATE TABLE batches (
    id BLOB NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    cutoff_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    handed_at INTEGER,
    piece_count INTEGER NOT NULL
) STRICT;
CREATE INDEX batches_open ON batches (partner) WHERE handed_at IS NULL;

CREATE TABLE checkpoints (
    name TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT;

-- The log is append only. Its place in the tree is given once, later.
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'the log is append only');
END;
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
WHEN NOT (OLD.leaf_index IS NULL AND NEW.leaf_index IS NOT NULL
    AND NEW.id = OLD.id AND NEW.tenant = OLD.tenant AND NEW.at = OLD.at
    AND NEW.kind = OLD.kind AND NEW.leaf = OLD.leaf AND NEW.job_id IS OLD.job_id
    AND NEW.code IS OLD.code AND NEW.detail IS OLD.detail AND NEW.detail_key IS OLD.detail_key)
BEGIN
    SELECT RAISE(ABORT, 'the log is append only');
END;
