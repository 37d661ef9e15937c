-- Second factors of links: how often was tried, and the code that was mailed
-- last, as a MAC. What is asked for stands sealed with the personal data; a row
-- here comes with the first try.

CREATE TABLE factors (
    day BIGINT NOT NULL,
    print BYTEA NOT NULL,
    job_id UUID NOT NULL,
    -- Wrong tries, in all; the right one is taken back.
    tries BIGINT NOT NULL,
    -- Tries since an instant.
    window_from BIGINT NOT NULL,
    window_tries BIGINT NOT NULL,
    -- The code that holds now.
    code_mac BYTEA,
    code_at BIGINT,
    code_until BIGINT,
    code_tries BIGINT NOT NULL,
    -- Codes of a day of the tenant's calendar.
    code_day BIGINT NOT NULL,
    code_count BIGINT NOT NULL,
    locked_at BIGINT,
    PRIMARY KEY (day, print)
);
CREATE INDEX factors_job ON factors (job_id);

-- Codes on their way into a mail, sealed under the delivery's own key. A row
-- goes when the relay has taken the mail, or when its code is over.
CREATE TABLE code_mails (
    job_id UUID NOT NULL PRIMARY KEY,
    code_id UUID NOT NULL,
    sealed BYTEA NOT NULL,
    until BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL
);
CREATE INDEX code_mails_due ON code_mails (run_at);
