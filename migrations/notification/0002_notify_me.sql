-- Notify Me: who waits for what is sold out, and what came of telling them.

-- A copy of topic `products`: names for messages, and what can be subscribed to.
CREATE TABLE products (
    sku           text    PRIMARY KEY,
    name          text    NOT NULL,
    amount        bigint  NOT NULL CHECK (amount >= 0),       -- the price, in minor units
    currency      text    NOT NULL,
    listed        boolean NOT NULL,                           -- whoever waits for a delisted one is held
    seen_products bigint  NOT NULL DEFAULT 0 CHECK (seen_products >= 0)
);

-- A copy of topic `stock`. A wave works on one product at a time under the lock of its row here.
CREATE TABLE stock (
    sku        text        PRIMARY KEY,
    available  bigint      NOT NULL,
    restocks   bigint      NOT NULL,                          -- how often it was restocked
    seen_stock bigint      NOT NULL DEFAULT 0 CHECK (seen_stock >= 0),
    wave_at    timestamptz                                    -- when to look who can be told; NULL: nobody could be
);

CREATE INDEX stock_waves ON stock (wave_at) WHERE wave_at IS NOT NULL;

-- Someone's wish to be told when a product is back. One that has ended stays for the report; its address goes.
CREATE TABLE subscriptions (
    id              uuid        PRIMARY KEY,
    sku             text        NOT NULL,
    email           text        CHECK (octet_length(email) BETWEEN 3 AND 254), -- NULL: not known yet, or forgotten
    customer_id     uuid,                                     -- made by an order: whose,
    order_id        uuid,                                     -- and by which
    quantity        integer     NOT NULL CHECK (quantity BETWEEN 1 AND 1000000), -- the wanted one
    state           text        NOT NULL CHECK (state IN ('pending', 'waiting', 'notified', 'converted', 'bought',
                                                          'lapsed', 'unsubscribed', 'erased', 'merged')),
    merged_into     uuid        REFERENCES subscriptions,     -- the one of the same address that goes on

    -- Each request asks the address to confirm what it wants; only what it confirmed counts, the newest last.
    asked_round     integer     NOT NULL DEFAULT 0 CHECK (asked_round >= 0),
    confirmed_round integer     NOT NULL DEFAULT 0 CHECK (confirmed_round BETWEEN 0 AND asked_round),
    consent         text        CHECK (consent IN ('double_opt_in', 'order', 'link')), -- how it was given,
    consented_at    timestamptz,                              -- and when

    created_at      timestamptz NOT NULL,
    activated_at    timestamptz,                              -- the place in the queue
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,

    queued_at       timestamptz,                              -- a message is on its way
    told_restocks   bigint,                                   -- the restock that the address was last told of
    claim           text        NOT NULL UNIQUE,              -- SHA-256 of what the link in the message carries
    notified_at     timestamptz,
    clicked_at      timestamptz,
    converted_at    timestamptz,
    converted_by    uuid,                                     -- the order that came of it,
    units           bigint      CHECK (units > 0),            -- and how many it has of the product
    bought_at       timestamptz,

    version         bigint      NOT NULL DEFAULT 0 CHECK (version >= 0), -- the last sequence published under its id

    CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
    CHECK ((consent IS NULL) = (consented_at IS NULL)),
    CHECK (state <> 'waiting' OR (activated_at IS NOT NULL AND consent IS NOT NULL)),
    CHECK (queued_at IS NULL OR (state = 'waiting' AND email IS NOT NULL)),
    CHECK (state NOT IN ('notified', 'converted') OR notified_at IS NOT NULL),
    CHECK ((converted_at IS NULL) = (units IS NULL)),
    CHECK (state <> 'erased' OR email IS NULL)
) WITH (fillfactor = 80);

-- One active subscription an address and product.
CREATE UNIQUE INDEX subscriptions_active ON subscriptions (email, sku) WHERE state IN ('pending', 'waiting');
-- One an order and product, for ever.
CREATE UNIQUE INDEX subscriptions_by_order ON subscriptions (order_id, sku) WHERE order_id IS NOT NULL;
-- What an address has: for erasure, and for what it buys.
CREATE INDEX subscriptions_by_address ON subscriptions (email, sku) WHERE email IS NOT NULL;
-- Whose address is not known yet.
CREATE INDEX subscriptions_unaddressed ON subscriptions (customer_id)
    WHERE email IS NULL AND state IN ('pending', 'waiting');
-- The queue of a product, in order of arrival.
CREATE INDEX subscriptions_queue ON subscriptions (sku, activated_at, id) WHERE state = 'waiting' AND queued_at IS NULL;
-- What counts against a wave's budget: who is being told, and who was lately.
CREATE INDEX subscriptions_queued ON subscriptions (sku) WHERE queued_at IS NOT NULL;
CREATE INDEX subscriptions_notified ON subscriptions (sku, notified_at) WHERE notified_at IS NOT NULL;
-- The report.
CREATE INDEX subscriptions_by_sku ON subscriptions (sku);
-- What lapses next.
CREATE INDEX subscriptions_expiring ON subscriptions (expires_at) WHERE state IN ('pending', 'waiting', 'notified');
-- Whose address can be forgotten.
CREATE INDEX subscriptions_ended ON subscriptions (ended_at) WHERE email IS NOT NULL AND ended_at IS NOT NULL;

-- A confirmed order whose customer's address is not known yet: what it bought ends a subscription once it is.
CREATE TABLE purchases (
    order_id    uuid        NOT NULL,
    sku         text        NOT NULL,
    customer_id uuid        NOT NULL,
    bought_at   timestamptz NOT NULL,
    PRIMARY KEY (order_id, sku)
);

CREATE INDEX purchases_by_customer ON purchases (customer_id);

-- Messages about a subscription. Nobody is told twice of one restock.
ALTER TABLE deliveries
    ADD COLUMN subscription_id uuid REFERENCES subscriptions,
    ADD COLUMN restocks bigint,
    ADD CHECK (kind NOT IN ('confirm_subscription', 'back_in_stock') OR subscription_id IS NOT NULL),
    ADD CHECK ((kind = 'back_in_stock') = (restocks IS NOT NULL));

CREATE UNIQUE INDEX deliveries_once_a_restock ON deliveries (subscription_id, restocks, channel) WHERE restocks IS NOT NULL;
-- What is still on its way to a subscriber who does not want it any more.
CREATE INDEX deliveries_unsent ON deliveries (subscription_id) WHERE subscription_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX deliveries_by_sku ON deliveries (sku, id) WHERE sku IS NOT NULL;
