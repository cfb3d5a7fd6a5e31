-- How many events there have been about each account.
CREATE TABLE IF NOT EXISTS tills (
    account text   PRIMARY KEY,
    version bigint NOT NULL
);
