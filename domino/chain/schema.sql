-- The tables of all four roles. Each role has a database of its own and uses its own tables there.

-- order
CREATE TABLE IF NOT EXISTS products (
    sku      text   PRIMARY KEY,
    name     text   NOT NULL,
    price    bigint NOT NULL,
    currency text   NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id              uuid        PRIMARY KEY,
    idempotency_key text        UNIQUE,
    email           text        NOT NULL,
    items           jsonb       NOT NULL,
    total           bigint      NOT NULL,
    currency        text        NOT NULL,
    payment_method  text        NOT NULL,
    status          text        NOT NULL DEFAULT 'placed' CHECK (status IN ('placed', 'confirmed', 'cancelling', 'cancelled')),
    reason          text,
    placed_at       timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz
) WITH (fillfactor = 85);
CREATE INDEX IF NOT EXISTS orders_unfinished ON orders (placed_at) WHERE status IN ('placed', 'cancelling');

-- payment
CREATE TABLE IF NOT EXISTS payments (
    order_id   uuid        PRIMARY KEY,
    amount     bigint      NOT NULL,
    currency   text        NOT NULL,
    method     text        NOT NULL,
    status     text        NOT NULL CHECK (status IN ('pending', 'authorized', 'captured', 'declined', 'reversed')),
    is_cancelled boolean   NOT NULL DEFAULT false,          -- the order is cancelled; a late result is reversed
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
-- The books of the simulated gateway, another company's.
CREATE TABLE IF NOT EXISTS authorizations (
    order_id    uuid   PRIMARY KEY,
    amount      bigint NOT NULL,
    declined    boolean NOT NULL DEFAULT false,
    captured_at timestamptz,
    reversed_at timestamptz
) WITH (fillfactor = 70);

-- inventory
CREATE TABLE IF NOT EXISTS stock (
    sku       text   PRIMARY KEY,
    available bigint NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 25);
CREATE TABLE IF NOT EXISTS reservations (
    order_id uuid  PRIMARY KEY,
    items    jsonb NOT NULL,
    status   text  NOT NULL CHECK (status IN ('committed', 'released'))
) WITH (fillfactor = 85);

-- notification
CREATE TABLE IF NOT EXISTS deliveries (
    order_id    uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('order_confirmed', 'order_cancelled')),
    email       text        NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, kind)
);
