-- Reminders of links that nobody has opened: one a delivery, asked for with its
-- job. A row comes when the document is sealed and goes with it.
CREATE TABLE reminders (
    job_id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    -- `after` sending or `before` the end of the link, and how many working days.
    rule TEXT NOT NULL,
    days INTEGER NOT NULL,
    -- When it is to be looked at next; nothing once it is settled.
    due_at INTEGER,
    -- What became of it: planned, sent, unknown, failed, too_late, not_needed.
    state TEXT NOT NULL,
    settled_at INTEGER,
    -- The sealed mail, while it is under way, and the hour of its key.
    mail BLOB,
    mail_hour INTEGER
) STRICT;
CREATE INDEX reminders_due ON reminders (due_at, job_id) WHERE due_at IS NOT NULL;

-- A second token of a link. What counts, ends and is revoked is the link; a
-- twin only leads to it.
CREATE TABLE twins (
    day INTEGER NOT NULL,
    print BLOB NOT NULL,
    job_id BLOB NOT NULL,
    link_day INTEGER NOT NULL,
    link_print BLOB NOT NULL,
    PRIMARY KEY (day, print)
) STRICT;
CREATE INDEX twins_job ON twins (job_id);
