-- What the notification service keeps to tell customers of their orders. No address stands in any table but
-- `contacts`: a delivery finds it at the moment of sending, so an erasure reaches what is still on its way.

-- A copy of topic `customers`: how to reach each customer. An erased one stays as an id without an address, for ever,
-- so that reading the topic again from its beginning revives no one.
CREATE TABLE contacts (
    customer_id    uuid        PRIMARY KEY,
    email          text        CHECK (octet_length(email) BETWEEN 3 AND 254), -- in lower case
    erased_at      timestamptz,
    seen_customers bigint      NOT NULL DEFAULT 0 CHECK (seen_customers >= 0), -- the last sequence seen
    CHECK ((email IS NULL) = (erased_at IS NOT NULL))
);

-- Erasure and subscriptions look a customer up by address.
CREATE INDEX contacts_email ON contacts (email) WHERE email IS NOT NULL;

-- What is remembered of each order: whose it is, and how far its history was read. It outlives the deliveries, so
-- that a topic read again tells nobody anything a second time.
CREATE TABLE orders (
    order_id    uuid    PRIMARY KEY,
    customer_id uuid,                                        -- NULL: so far only its refund is known
    seen_orders bigint  NOT NULL DEFAULT 0 CHECK (seen_orders >= 0), -- the last sequence seen of topic `orders`
    refunded    boolean NOT NULL DEFAULT false               -- its refund was seen
) WITH (fillfactor = 85); -- two or three events come soon after each other: room for the next version on the same page

-- One message to one recipient on one channel, decided in the transaction that made it due. The row is the queue's
-- entry too: a worker claims it with a token and a lease, sends, and writes what came of it.
CREATE TABLE deliveries (
    id          uuid        PRIMARY KEY,                     -- UUIDv7: in the order in which they were decided
    kind        text        NOT NULL CHECK (kind IN ('order_confirmed', 'order_cancelled', 'order_refunded',
                                                     'confirm_subscription', 'back_in_stock')),
    channel     text        NOT NULL CHECK (channel IN ('log', 'smtp')),
    order_id    uuid,
    sku         text,
    customer_id uuid,                                        -- NULL: not a customer's, or not known yet whose
    data        jsonb       NOT NULL CHECK (data ->> 'kind' = kind), -- what the templates read

    status      text        NOT NULL DEFAULT 'pending'
                            CHECK (status IN ('pending', 'waiting_for_contact', 'sent', 'failed')),
    attempts    integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- how often it was given to the channel
    cause       text,                                        -- why the last attempt failed; never an address
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                                 -- when it was sent or given up

    next_at     timestamptz,                                 -- when it is due; NULL: not to be sent now
    token       uuid,                                        -- whose claim it is
    leased_until timestamptz,                                -- until when the claim holds

    version     bigint      NOT NULL DEFAULT 0 CHECK (version >= 0), -- the last sequence published under its id
    caused_by   uuid,                                        -- the event that made it due,
    traceparent text,                                        -- and the trace that it is part of

    CHECK (order_id IS NOT NULL OR kind NOT LIKE 'order\_%'),
    CHECK ((status IN ('sent', 'failed')) = (finished_at IS NOT NULL)),
    CHECK (finished_at IS NULL OR (next_at IS NULL AND token IS NULL)),
    CHECK ((token IS NULL) = (leased_until IS NULL))
) WITH (
    -- A row is written three times within moments and then rests for 90 days.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);

-- Whatever is read twice, an order is told of the same thing once on each channel.
CREATE UNIQUE INDEX deliveries_once_an_order ON deliveries (order_id, kind, channel) WHERE order_id IS NOT NULL;

-- What a worker looks for. A claim changes none of these columns, so it stays a heap-only update.
CREATE INDEX deliveries_due ON deliveries (channel, next_at, id) WHERE next_at IS NOT NULL;

-- Whom a contact's arrival hastens.
CREATE INDEX deliveries_waiting ON deliveries (customer_id) WHERE status = 'waiting_for_contact';
