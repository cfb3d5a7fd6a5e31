-- What the broker crate keeps in every service's database. The schema `broker` is made before this runs.

-- Events on their way to Kafka (Transactional Outbox, microservices.io): written in the transaction that caused them,
-- deleted when Kafka has acknowledged them. A queue table: short, hot, its dead rows must go quickly.
CREATE TABLE broker.outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text        NOT NULL,               -- without the system's prefix
    key        bytea,
    value      bytea,                              -- NULL: a tombstone
    headers    json        NOT NULL,               -- [["name", "text" | [bytes] | null], …]
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Who relays: saves work, never needed for correctness. An expired lease is free to take.
CREATE TABLE broker.leases (
    name       text        PRIMARY KEY,
    holder     uuid        NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Where this service reads on: the next offset of each partition; -2 is the log's beginning. Advanced in the
-- transaction that applies the records' effects, so the two can never disagree.
CREATE TABLE broker.positions (
    topic       text    NOT NULL,                  -- without the system's prefix
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL CHECK (next_offset >= -2),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- Which records went to the dead letters, so that each goes once, even after a rewind, and what a redrive made of it.
CREATE TABLE broker.dead_letters (
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    cause      text        NOT NULL,
    died_at    timestamptz NOT NULL DEFAULT now(),
    redriven_at timestamptz,                       -- NULL: still dead
    PRIMARY KEY (topic, partition, log_offset)
);

-- How far the daily republish of each compacted topic has come.
CREATE TABLE broker.republishes (
    topic     text        PRIMARY KEY,
    after_key text,                                -- NULL: from the first key
    due_at    timestamptz NOT NULL DEFAULT now(),  -- when the next step may run
    began_at  timestamptz NOT NULL DEFAULT now()   -- when this round began
);
