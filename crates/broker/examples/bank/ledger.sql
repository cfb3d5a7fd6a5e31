-- One row per account, which is one key on `balances`.
CREATE TABLE IF NOT EXISTS accounts (
    id            text    PRIMARY KEY,
    balance       bigint  NOT NULL CHECK (balance >= 0),
    closed        boolean NOT NULL,
    version       bigint  NOT NULL,                -- the sequence of the last event on `balances`
    seen_deposits bigint  NOT NULL                 -- the sequence of the last event applied from `deposits`
);

-- The bookings of each account, in order.
CREATE TABLE IF NOT EXISTS bookings (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account  text   NOT NULL REFERENCES accounts,
    deposit  bigint NOT NULL,                      -- its sequence on `deposits`
    amount   bigint NOT NULL CHECK (amount < 1000000),
    memo     text   NOT NULL
);
