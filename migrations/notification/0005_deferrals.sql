-- How often the recipient's side put the delivery off: after so many it is given up. Attempts that failed for a reason on
-- our side or the mail server's do not count.
ALTER TABLE deliveries ADD COLUMN deferrals integer NOT NULL DEFAULT 0 CHECK (deferrals >= 0);

-- What an operator sends again.
CREATE INDEX deliveries_failed ON deliveries (id) WHERE status = 'failed';
