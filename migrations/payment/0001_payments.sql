-- What the payment service knows of each order's money.
--
-- A row is an aggregate, a work item and the memory of what was seen, all in one. The consumer of `orders` moves its
-- goal; a worker asks the gateway, one operation a payment at a time, until the goal is reached. Rows are never deleted:
-- they are what makes a repeated `order.placed` harmless, for ever.
CREATE TABLE payments (
    -- The order's id: one payment an order.
    id             uuid        PRIMARY KEY,

    -- What the order wants, and what the gateway is known to have done.
    goal           text        NOT NULL CHECK (goal IN ('authorized', 'captured', 'reversed')),
    status         text        NOT NULL CHECK (status IN
                       ('pending', 'authorized', 'declined', 'captured', 'capture_failed', 'voided', 'refunded')),

    -- The order's total, in minor units.
    amount         bigint      NOT NULL CHECK (amount >= 0),
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- NULL: the order was cancelled before it was seen to be placed; nothing is ever asked of the gateway.
    payment_method text        CHECK (payment_method IS NOT NULL OR status = 'voided'),
    -- What the gateway calls the authorization.
    gateway_id     text        CHECK (gateway_id IS NOT NULL OR status IN ('pending', 'declined', 'voided')),

    -- The next operation towards the goal. `started`: it may have reached the gateway, so its outcome has to be known
    -- before anything else happens; set when a worker claims it, so that a crash counts as "may have".
    operation      text        CHECK (CASE operation
                       WHEN 'authorize' THEN status = 'pending'
                       WHEN 'capture'   THEN status = 'authorized' AND (goal = 'captured' OR started)
                       WHEN 'void'      THEN status IN ('authorized', 'capture_failed') AND goal = 'reversed'
                       WHEN 'refund'    THEN status = 'captured' AND goal = 'reversed'
                       ELSE operation IS NULL END),
    started        boolean     NOT NULL CHECK (NOT started OR operation IS NOT NULL),
    -- Part of the idempotency key (payment, operation, generation); grows when the gateway has answered a key with a
    -- failure, which it would repeat for ever.
    generation     integer     NOT NULL,
    -- Calls of this operation that brought nothing, in a row (for the back-off), and all calls ever.
    failures       integer     NOT NULL,
    attempts       integer     NOT NULL DEFAULT 0,

    -- The queue's part: who works on it, until when, and when it is due.
    token          uuid,
    leased_until   timestamptz,
    next_at        timestamptz NOT NULL,

    -- The sequence of the last event published on `payments`, and of the last one seen on `orders`.
    version        bigint      NOT NULL CHECK (version >= 0),
    seen_orders    bigint      NOT NULL CHECK (seen_orders > 0),

    -- Which events of `orders` asked for it: the causes of what is published later. One trace an order.
    placed_by      uuid,
    confirmed_by   uuid,
    cancelled_by   uuid        CHECK ((cancelled_by IS NOT NULL) = (goal = 'reversed')),
    traceparent    text,

    -- [{"type", "at"}]: the events of `orders` and `payments`, for people.
    history        jsonb       NOT NULL,

    -- Nothing that was never started is left waiting to be reversed.
    CHECK (status <> 'pending' OR goal <> 'reversed' OR started)
) WITH (
    -- Each row is written about six times, most of it within a second: new versions find room on the same page.
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

-- What is due. Rows leave it when their goal is reached, so it stays as small as the work at hand.
CREATE INDEX payments_due ON payments (next_at) WHERE operation IS NOT NULL;
