-- Who may be asked, and how often: refusals, open questions and the wishes that wait to be looked at. A mailbox is the
-- address without the plus part; it stands here as an HMAC under TOKEN_KEY, from which no address can be read.

-- "No more of this": what holds against questions and wishes that come from strangers. It outlives an erasure of the
-- address, so that nobody signs an erased address up again.
CREATE TABLE refusals (
    mailbox    bytea       NOT NULL CHECK (octet_length(mailbox) = 32),
    sku        text,                                          -- NULL: every product
    refused_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (mailbox, sku)
);

-- The questions that a mailbox has not answered: how many were put for a product, and when the last one. The next may be
-- put after a pause that grows with their number. An answer deletes the row, and so do 30 days.
CREATE TABLE questions (
    mailbox bytea       NOT NULL CHECK (octet_length(mailbox) = 32),
    sku     text        NOT NULL,
    asked   integer     NOT NULL CHECK (asked > 0),
    last_at timestamptz NOT NULL,
    PRIMARY KEY (mailbox, sku)
);
CREATE INDEX questions_by_age ON questions (last_at);

-- What POST /subscriptions has taken and a worker looks at a moment later: the answer tells nothing of the address, not
-- even by the time that it takes.
CREATE TABLE wishes (
    id          uuid        PRIMARY KEY,                      -- UUIDv7: in order of arrival
    email       text        NOT NULL CHECK (octet_length(email) BETWEEN 3 AND 254),
    sku         text        NOT NULL,
    quantity    integer     NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    traceparent text,
    created_at  timestamptz NOT NULL
);

-- Whose mailbox it is, while the address is known. A refusal and the limits find it by that.
ALTER TABLE subscriptions
    ADD COLUMN mailbox bytea CHECK (octet_length(mailbox) = 32),
    ADD CHECK (email IS NOT NULL OR mailbox IS NULL);
CREATE INDEX subscriptions_by_mailbox ON subscriptions (mailbox, sku) WHERE mailbox IS NOT NULL;

-- The queue of a product: those whose address has confirmed it come first, then what orders asked for, each in order of
-- arrival.
DROP INDEX subscriptions_queue;
CREATE INDEX subscriptions_queue ON subscriptions (sku, (consent = 'order'), activated_at, id)
    WHERE state = 'waiting' AND queued_at IS NULL;
