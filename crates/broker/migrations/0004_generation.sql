-- How often this database was restored from an older copy. Each event that is appended carries the generation beside its
-- sequence, so that readers take what a restored database decides anew for newer than what they saw before.
CREATE TABLE broker.generation (
    only_row        boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    generation      integer     NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4194303),
    raised_at       timestamptz,                   -- NULL: never restored
    -- Since when `SERVICE restored` has been at work; NULL: it is not, or has ended. A service does not start on a
    -- database that is half rolled forward.
    restoring_since timestamptz,
    -- By it the service recognises the events that it has published itself: each event's id vouches for the event under
    -- this key. Copies of the database have it too.
    origin_key      bytea       NOT NULL DEFAULT (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
                                CHECK (octet_length(origin_key) = 32)
);
INSERT INTO broker.generation DEFAULT VALUES;

-- The highest position that there was before an operator's rewind. Without a rewind a position never falls: one that is
-- lower than what Kafka's committed offset remembers belongs to a database that was restored from an older copy.
ALTER TABLE broker.positions
    ADD COLUMN rewound_from bigint;                -- NULL: never rewound
