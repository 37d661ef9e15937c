-- Finished PDFs that senders upload before the job that names them. The bytes
-- lie sealed in a segment; a row that is gone leaves nothing that can be read.

CREATE TABLE uploads (
    id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    purge_day INTEGER NOT NULL,
    wrapped_key BLOB NOT NULL,
    segment BLOB NOT NULL,
    sealed_offset INTEGER NOT NULL,
    sealed_len INTEGER NOT NULL,
    pdf_len INTEGER NOT NULL,
    pdf_sha256 BLOB NOT NULL,
    pages INTEGER NOT NULL,
    a4 INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_tenant ON uploads (tenant, id);
CREATE INDEX uploads_expired ON uploads (expires_at);
CREATE INDEX uploads_day ON uploads (purge_day);

-- Which jobs named an upload. A claim is written before its job and never
-- taken back: it counts as long as its job is not sealed.
CREATE TABLE upload_claims (
    upload_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (upload_id, job_id)
) STRICT;
