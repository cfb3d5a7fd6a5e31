-- The number of events of each account.
CREATE TABLE IF NOT EXISTS tills (
    account text   PRIMARY KEY,
    version bigint NOT NULL
);
