-- Finished PDFs that senders upload before the job that names them. The bytes
-- lie sealed in a segment; a row that is gone leaves nothing that can be read.

CREATE TABLE uploads (
    id UUID NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    purge_day BIGINT NOT NULL,
    wrapped_key BYTEA NOT NULL,
    segment UUID NOT NULL,
    sealed_offset BIGINT NOT NULL,
    sealed_len BIGINT NOT NULL,
    pdf_len BIGINT NOT NULL,
    pdf_sha256 BYTEA NOT NULL,
    pages BIGINT NOT NULL,
    a4 BIGINT NOT NULL
);
CREATE INDEX uploads_tenant ON uploads (tenant, id);
CREATE INDEX uploads_expired ON uploads (expires_at);
CREATE INDEX uploads_day ON uploads (purge_day);

-- Which jobs named an upload. A claim is written before its job and never
-- taken back: it counts as long as its job is not sealed.
CREATE TABLE upload_claims (
    upload_id UUID NOT NULL,
    job_id UUID NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (upload_id, job_id)
);
