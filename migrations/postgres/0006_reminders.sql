-- Reminders of links that nobody has opened: one a delivery, asked for with its
-- job. A row comes when the document is sealed and goes with it.
CREATE TABLE reminders (
    job_id UUID NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    -- `after` sending or `before` the end of the link, and how many working days.
    rule TEXT NOT NULL,
    days BIGINT NOT NULL,
    -- When it is to be looked at next; nothing once it is settled.
    due_at BIGINT,
    -- What became of it: planned, sent, unknown, failed, too_late, not_needed.
    state TEXT NOT NULL,
    settled_at BIGINT,
    -- The sealed mail, while it is under way, and the hour of its key.
    mail BYTEA,
    mail_hour BIGINT
);
CREATE INDEX reminders_due ON reminders (due_at, job_id) WHERE due_at IS NOT NULL;

-- A second token of a link. What counts, ends and is revoked is the link; a
-- twin only leads to it.
CREATE TABLE twins (
    day BIGINT NOT NULL,
    print BYTEA NOT NULL,
    job_id UUID NOT NULL,
    link_day BIGINT NOT NULL,
    link_print BYTEA NOT NULL,
    PRIMARY KEY (day, print)
);
CREATE INDEX twins_job ON twins (job_id);
