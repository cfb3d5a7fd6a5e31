-- The two questions about a subscription's status that queries ask of whole sets. The life cycle, with the name of every
-- status, is services/notification/src/domain/subscription.rs; a unit test compares this file with it.

-- Asked for or in line: an address has at most one such subscription per product. Postgres inlines the function, so that it
-- matches the partial index subscriptions_active.
CREATE FUNCTION is_active(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN state IN ('pending', 'waiting');

-- The line: who waits, and has not bought the product meanwhile. Subscriptions by double opt-in or by a link come first, those
-- made by an order behind them (`by_order`), each in the order of `activated_at`.
CREATE VIEW waiting_line AS
SELECT id, sku, email, quantity, consent = 'order' AS by_order, activated_at, queued_at, told_restocks
FROM subscriptions
WHERE state = 'waiting'
  AND NOT EXISTS (SELECT FROM standing_purchases WHERE standing_purchases.subscription_id = subscriptions.id);
