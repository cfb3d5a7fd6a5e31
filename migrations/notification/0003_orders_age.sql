-- When an order was last heard of. What is remembered of it is needed as long as the log may be read again, and as long
-- as its messages can be looked up; then it goes.
ALTER TABLE orders ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();
