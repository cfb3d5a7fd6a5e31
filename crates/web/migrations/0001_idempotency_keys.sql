-- The idempotency keys of a service's API: a repeated request gets the stored answer.
--
-- A key is claimed and answered in the transaction that does the work, so a committed row always has its answer, and an
-- answer is never stored without its effect. Rows are deleted after 24 hours (web::idempotency::purge).
--
-- Earlier versions had this table in the migrations of order and inventory, so it may exist.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    -- Method and route, as 'POST /orders': the same key in two operations is two keys.
    operation   text        NOT NULL CHECK (operation <> ''),
    -- The client's value, or a digest of it.
    key         text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of path and body: distinguishes a repetition from another request with the same key.
    fingerprint bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- The answer, byte for byte; NULL only inside the transaction that is working on it.
    status      smallint    CHECK (status BETWEEN 200 AND 599),
    location    text,
    body        bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation, key),
    CHECK ((status IS NULL) = (body IS NULL))
) WITH (fillfactor = 50); -- each row is written twice; the second version finds room on the same page

-- The purge reads the oldest rows.
CREATE INDEX IF NOT EXISTS idempotency_keys_created_at ON idempotency_keys (created_at);
