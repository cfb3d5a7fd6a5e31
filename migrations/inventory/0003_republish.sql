-- What `inventory republish reservations` needs to publish a reservation's events again.

ALTER TABLE reservations
    -- [{"sku", "wanted", "available"}]: the lines that were short when it was rejected. NULL: it was not rejected, or by an
    -- earlier version, which did not keep them.
    ADD COLUMN short      jsonb       CHECK (jsonb_typeof(short) = 'array'),
    -- When it last changed. Rows of an earlier version count as changed when this column was added: `--since` selects too
    -- many of them rather than too few.
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
