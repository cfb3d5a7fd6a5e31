-- A confirmed order no longer ends a wait: it suspends it for as long as the order stands. A cancellation deletes the
-- order's rows here, and whoever waited is back in line, at the old place, without anything to restore.

-- So far `purchases` held only what was bought before the customer's contact was known. From now on it holds each line
-- of a confirmed order that somebody with the order's address waits for, or may wait for (the contact is not known yet).
CREATE INDEX purchases_by_sku ON purchases (sku);

-- When the address last asked to be told by an order, where somebody else's word counts already: a purchase before that
-- does not suspend the wait. `consented_at` stays what it is, the proof of the consent.
ALTER TABLE subscriptions ADD COLUMN wished_at timestamptz;

-- The purchases that stand in the way of telling a subscriber: of the same product, by an order of the same address that
-- was confirmed after the subscriber last asked to be told. Of any quantity: who waits for five and buys one has found
-- another way to the product, and a stranger would have to pay for silencing somebody.
CREATE VIEW standing_purchases AS
SELECT subscriptions.id AS subscription_id, purchases.order_id, purchases.sku, purchases.bought_at
FROM purchases
JOIN contacts USING (customer_id)
JOIN subscriptions ON subscriptions.email = contacts.email AND subscriptions.sku = purchases.sku
WHERE subscriptions.state IN ('waiting', 'notified')
  AND purchases.bought_at >= GREATEST(subscriptions.consented_at, subscriptions.wished_at);
