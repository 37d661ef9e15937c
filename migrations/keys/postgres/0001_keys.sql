-- The key store: one row per key, wrapped under its parent.
--
-- A row is never deleted. A destroyed key leaves its row behind without the
-- wrapped bytes, so that the same key cannot be made a second time.
CREATE TABLE keys (
    kind          TEXT   NOT NULL,
    tenant        TEXT   NOT NULL, -- '' where the key is the office's own
    service       TEXT   NOT NULL, -- '' where the key is of no service
    number        BIGINT NOT NULL, -- day, hour, year, month, version or key id
    parent        BIGINT NOT NULL, -- version of the tenant key; 0 is the master key
    wrapped       BYTEA,
    created_at    BIGINT NOT NULL, -- microseconds since 1970, as all instants
    to_destroy_at BIGINT,
    destroyed_at  BIGINT,
    PRIMARY KEY (kind, tenant, service, number),
    CHECK (to_destroy_at IS NOT NULL OR wrapped IS NOT NULL),
    CHECK (destroyed_at IS NULL OR (to_destroy_at IS NOT NULL AND wrapped IS NULL))
);

CREATE INDEX keys_live ON keys (kind, number) WHERE destroyed_at IS NULL;
