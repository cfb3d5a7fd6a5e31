-- The simulated gateway's own books. They stand for a system of somebody else: no query of the service touches them
-- together with its own tables, and nothing here refers to `payments`.
CREATE SCHEMA gateway;

-- One row an authorization that was asked for, answered for good under its idempotency key.
CREATE TABLE gateway.authorizations (
    -- The merchant's own number for it: the order.
    reference      uuid        NOT NULL,
    -- The merchant's idempotency key: the same key gets the same answer, for ever.
    key            text        NOT NULL,
    -- The gateway's name for it; that of the charge, once captured.
    id             text        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount >= 0),
    currency       text        NOT NULL,
    payment_method text        NOT NULL,
    -- `failed`: an internal error, with no effect (pm_flaky).
    answer         text        NOT NULL CHECK (answer IN
                       ('authorized', 'failed', 'card_declined', 'insufficient_funds', 'unknown_method')),
    authorized_at  timestamptz NOT NULL DEFAULT now(),
    -- Money is taken, or let go of; never both.
    captured_at    timestamptz,
    capture_key    text,
    voided_at      timestamptz,
    void_key       text,
    PRIMARY KEY (reference, key),
    CHECK (captured_at IS NULL OR voided_at IS NULL),
    CHECK (answer = 'authorized' OR (captured_at IS NULL AND voided_at IS NULL)),
    CHECK ((captured_at IS NULL) = (capture_key IS NULL)),
    CHECK ((voided_at IS NULL) = (void_key IS NULL))
) WITH (fillfactor = 80); -- a capture rewrites the row on its page

-- Captured money that went back, whole.
CREATE TABLE gateway.refunds (
    reference   uuid        NOT NULL,
    key         text        NOT NULL,
    id          text        NOT NULL,
    -- What was captured: refunded once at most.
    charge_id   text        NOT NULL UNIQUE,
    amount      bigint      NOT NULL CHECK (amount >= 0),
    currency    text        NOT NULL,
    refunded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, key)
);

-- How it behaves just now, for all instances of the service: one row.
CREATE TABLE gateway.switch (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- How long each answer takes; NULL: what GATEWAY_LATENCY says.
    latency_ms integer CHECK (latency_ms BETWEEN 0 AND 60000),
    -- Every call is answered with an error, and has no effect.
    outage     boolean NOT NULL DEFAULT false
);
INSERT INTO gateway.switch DEFAULT VALUES;
