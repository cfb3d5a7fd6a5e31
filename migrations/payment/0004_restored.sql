-- The payment of an order that was placed after the copy from which this database was restored: the published events of
-- the payment make the row, and `order.placed`, when it is read again, completes it.
ALTER TABLE payments
    -- 0: no event of the order was seen yet.
    DROP CONSTRAINT payments_seen_orders_check,
    ADD CONSTRAINT payments_seen_orders_check CHECK (seen_orders >= 0),
    -- The method is needed where an authorization is asked for.
    DROP CONSTRAINT payments_check,
    ADD CONSTRAINT payments_payment_method_check
        CHECK (payment_method IS NOT NULL OR operation IS DISTINCT FROM 'authorize'),
    -- What went back is done with: an event of an earlier version says so without the gateway's id.
    DROP CONSTRAINT payments_check1,
    ADD CONSTRAINT payments_gateway_id_check
        CHECK (gateway_id IS NOT NULL OR status IN ('pending', 'declined', 'voided', 'refunded'));
