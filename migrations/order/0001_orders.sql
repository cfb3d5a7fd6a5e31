-- What the order service owns: orders, the customers' contacts, and its copy of the catalogue's prices.

-- A customer is one address until it is erased; then the row stays without it, so that nothing revives it, and the same
-- address registers anew under another id. No other table of this database holds an address.
CREATE TABLE customers (
    id            uuid        PRIMARY KEY,
    -- In lower case, as events::values::EmailAddress writes it; NULL when erased.
    email         text        CHECK (email <> ''),
    registered_at timestamptz NOT NULL,
    erased_at     timestamptz,
    -- The ce_sequence of the last event published on `customers` for it.
    version       bigint      NOT NULL CHECK (version >= 1),
    CHECK ((email IS NULL) = (erased_at IS NOT NULL))
);

-- One customer an address. Partial, so that it is no target of a foreign key: an order that names a customer and an
-- erasure of that customer need not wait for each other's index entries.
CREATE UNIQUE INDEX customers_email ON customers (email) WHERE erased_at IS NULL;

-- An order, one row an aggregate: what was ordered, which never changes, and what became of it (domain/machine.rs).
CREATE TABLE orders (
    id                uuid        PRIMARY KEY,
    customer_id       uuid        NOT NULL REFERENCES customers,
    -- [{sku, name, quantity, unit_price}], each sku once, priced when it was placed.
    items             jsonb       NOT NULL CHECK (jsonb_array_length(items) BETWEEN 1 AND 50),
    -- Minor units; the sum of the items.
    total             bigint      NOT NULL CHECK (total >= 0),
    currency          text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payment_method    text        NOT NULL CHECK (length(payment_method) BETWEEN 1 AND 64),
    -- Whether to subscribe the customer to what turns out to be sold out.
    notify_me         boolean     NOT NULL,
    -- SHA-256 of the claim that led here, in hex: the claim itself is kept nowhere.
    claim_hash        text        CHECK (claim_hash ~ '^[0-9a-f]{64}$'),
    placed_at         timestamptz NOT NULL,
    -- Who has not answered by then will not be waited for.
    expires_at        timestamptz NOT NULL,
    -- The trace that the order was placed in; what a timer does to it later belongs to that trace too.
    traceparent       text,

    status            text        NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
    reason            text        CHECK (reason IN ('out_of_stock', 'payment_declined', 'payment_failed',
                                                    'customer_request', 'expired')),
    payment           text        NOT NULL CHECK (payment IN ('pending', 'authorized', 'declined', 'captured',
                                                              'voided', 'refunded', 'failed')),
    stock             text        NOT NULL CHECK (stock IN ('pending', 'reserved', 'rejected', 'committed', 'released')),
    -- [{sku, wanted, available}]: the lines that inventory rejected.
    short             jsonb       NOT NULL DEFAULT '[]',
    -- [{type, at}]: every event of the order that was published or consumed here; only ever appended to.
    history           jsonb       NOT NULL CHECK (jsonb_array_length(history) >= 1),
    -- The ce_sequence of the last event published on `orders` for it.
    version           bigint      NOT NULL CHECK (version BETWEEN 1 AND 3),
    -- The ce_sequence of the last event seen of it, a topic each.
    seen_payments     bigint      NOT NULL DEFAULT 0 CHECK (seen_payments >= 0),
    seen_reservations bigint      NOT NULL DEFAULT 0 CHECK (seen_reservations >= 0),
    updated_at        timestamptz NOT NULL,

    CHECK ((status = 'cancelled') = (reason IS NOT NULL)),
    CHECK (expires_at > placed_at)
) WITH (fillfactor = 60); -- a row changes about four times soon after it came; the versions find room on its page

-- Expiry looks for those that still wait, the oldest first.
CREATE INDEX orders_waiting ON orders (expires_at) WHERE status = 'placed';

-- The catalogue as `products` tells it, to price orders with.
CREATE TABLE products (
    sku      text    PRIMARY KEY CHECK (sku ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    name     text    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    price    bigint  NOT NULL CHECK (price >= 0),
    currency text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Delisted products stay: an older event must not bring them back.
    listed   boolean NOT NULL,
    -- The ce_sequence of the last event seen of it.
    seen     bigint  NOT NULL CHECK (seen >= 1)
);
