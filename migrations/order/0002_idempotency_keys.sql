-- Idempotency keys of this service's HTTP door: a repeated request gets the stored answer.
--
-- A row is claimed and answered in the transaction that does the work, so a committed row always has its
-- answer, and an answer never stands here without its effect. Rows live 24 hours (web::idempotency::purge).
CREATE TABLE idempotency_keys (
    -- Method and route, as 'POST /orders': the same key of two operations is two keys.
    operation   text        NOT NULL CHECK (operation <> ''),
    -- The client's own choice.
    key         text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of path and body: tells a repetition from another request under the same key.
    fingerprint bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- The answer, byte for byte; null only inside the transaction that is working on it.
    status      smallint    CHECK (status BETWEEN 200 AND 599),
    location    text,
    body        bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation, key),
    CHECK ((status IS NULL) = (body IS NULL))
) WITH (fillfactor = 50); -- each row is written twice; the second version finds room on the same page

-- The purge reads the oldest.
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
