-- How many messages of a kind a mailbox was sent lately, over all instances: five hundred orders that name somebody
-- else's address must not fill that mailbox. A mailbox is the address without the plus part, as an HMAC under
-- TOKEN_KEY; a row goes when its hour is over.
CREATE TABLE mail_counts (
    mailbox bytea       NOT NULL CHECK (octet_length(mailbox) = 32),
    kind    text        NOT NULL,
    begun   integer     NOT NULL CHECK (begun > 0),           -- deliveries begun since then, those over the limit included
    since   timestamptz NOT NULL,                             -- when the hour began
    PRIMARY KEY (mailbox, kind)
);
CREATE INDEX mail_counts_by_age ON mail_counts (since);

-- A wave of ten thousand messages must not hold up a customer who waits for a confirmation: workers claim what one
-- person's act has caused first, and most of the time.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (channel, (kind = 'back_in_stock'), next_at, id) WHERE next_at IS NOT NULL;
