-- The inventory service's own: the catalogue, how much there is of each product, and what is set aside for each order.
--
-- One row is one aggregate and one key of the topic that it publishes, and its version is the ce_sequence of the last
-- event published for that key. A product is therefore two rows: the catalogue's on `products`, the shelf's on `stock`.
-- Writers lock in one order everywhere (products, reservations by id, stock by sku), so that none waits in a circle.

-- Topic `products`. A row is never deleted: a delisted product keeps its stock and can be listed again.
CREATE TABLE products (
    -- Sorted by its bytes, as the program sorts it: locks are taken in this order.
    sku      text    COLLATE "C" PRIMARY KEY CHECK (sku ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    name     text    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- The price in minor units of its currency (ISO 4217).
    amount   bigint  NOT NULL CHECK (amount >= 0),
    currency text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Whether it can be ordered.
    listed   boolean NOT NULL,
    version  bigint  NOT NULL CHECK (version >= 1)
);

-- Topic `stock`. What can be ordered (available) is on_hand - reserved.
CREATE TABLE stock (
    sku       text   COLLATE "C" PRIMARY KEY REFERENCES products,
    -- On the shelf, those set aside included.
    on_hand   bigint NOT NULL DEFAULT 0,
    -- Of these, set aside for orders that are not decided yet.
    reserved  bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- Left the shelf for confirmed orders, less what a cancellation brought back.
    committed bigint NOT NULL DEFAULT 0 CHECK (committed >= 0),
    -- Came in by restocks.
    restocked bigint NOT NULL DEFAULT 0 CHECK (restocked >= 0),
    -- Found or missed by stock-takes, in sum.
    corrected bigint NOT NULL DEFAULT 0,
    -- How often it was restocked; readers tell one restock from the next by it.
    restocks  bigint NOT NULL DEFAULT 0 CHECK (restocks >= 0),
    version   bigint NOT NULL CHECK (version >= 1),
    -- Nothing is promised twice.
    CONSTRAINT stock_available CHECK (on_hand >= reserved),
    -- Nothing appears from nowhere, and nothing gets lost.
    CONSTRAINT stock_conserved CHECK (restocked + corrected = on_hand + committed)
) WITH (
    -- Few rows, written all the time: room for new versions on the same page, and dead ones cleared away early.
    fillfactor = 25, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.0
);

-- Topic `reservations`: one row an order, which outlives the log: whatever is read again finds its answer here.
CREATE TABLE reservations (
    order_id    uuid   PRIMARY KEY,
    status      text   NOT NULL CHECK (status IN (
                           'reserved',  -- all lines are set aside
                           'rejected',  -- at least one was short, so none is
                           'committed', -- the goods have left the shelf
                           'released',  -- they can be sold again
                           'closed'     -- cancelled before it was placed: what comes late does nothing
                       )),
    -- [{"sku", "quantity"}]: what is, or was, set aside; nothing when rejected or closed.
    lines       jsonb  NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
    version     bigint NOT NULL CHECK (version >= 1),
    -- The last ce_sequence seen of this order on topic `orders`.
    seen_orders bigint NOT NULL CHECK (seen_orders >= 1),
    CONSTRAINT reservations_lines CHECK (status NOT IN ('rejected', 'closed') OR lines = '[]')
) WITH (fillfactor = 60); -- a row is written two or three times, within seconds
