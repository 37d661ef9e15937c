-- Second factors of links: how often was tried, and the code that was mailed
-- last, as a MAC. What is asked for stands sealed with the personal data; a row
-- here comes with the first try.

CREATE TABLE factors (
    day INTEGER NOT NULL,
    print BLOB NOT NULL,
    job_id BLOB NOT NULL,
    -- Wrong tries, in all; the right one is taken back.
    tries INTEGER NOT NULL,
    -- Tries since an instant.
    window_from INTEGER NOT NULL,
    window_tries INTEGER NOT NULL,
    -- The code that holds now.
    code_mac BLOB,
    code_at INTEGER,
    code_until INTEGER,
    code_tries INTEGER NOT NULL,
    -- Codes of a day of the tenant's calendar.
    code_day INTEGER NOT NULL,
    code_count INTEGER NOT NULL,
    locked_at INTEGER,
    PRIMARY KEY (day, print)
) STRICT;
CREATE INDEX factors_job ON factors (job_id);

-- Codes on their way into a mail, sealed under the delivery's own key. A row
-- goes when the relay has taken the mail, or when its code is over.
CREATE TABLE code_mails (
    job_id BLOB NOT NULL PRIMARY KEY,
    code_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    until INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
CREATE INDEX code_mails_due ON code_mails (run_at);
