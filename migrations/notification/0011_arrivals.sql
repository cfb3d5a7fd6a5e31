-- Whether somebody bought a product before or after they asked to be told of it: by the order in which this database learnt of
-- the two, never by comparing the clocks of two services. A purchase that was made earlier and learnt of later suspends the
-- wait; who wants to be told all the same asks again.
CREATE SEQUENCE arrivals;

-- Of the consent, or of the order's wish that joined it since.
ALTER TABLE subscriptions ADD COLUMN arrival bigint;
ALTER TABLE purchases
    ADD COLUMN arrival    bigint,
    ADD COLUMN arrived_at timestamptz NOT NULL DEFAULT now(); -- bought_at is by the clock of Kafka

-- What is there already keeps the order that its times say.
WITH known AS (
    SELECT NULL::uuid AS order_id, NULL::text AS sku, id, GREATEST(consented_at, wished_at, created_at) AS at FROM subscriptions
    UNION ALL
    SELECT order_id, sku, NULL, bought_at FROM purchases
), numbered AS (
    SELECT order_id, sku, id, nextval('arrivals') AS arrival
    FROM (SELECT * FROM known ORDER BY at, id NULLS LAST) AS known
), subscribed AS (
    UPDATE subscriptions SET arrival = numbered.arrival FROM numbered WHERE subscriptions.id = numbered.id
)
UPDATE purchases SET arrival = numbered.arrival FROM numbered
WHERE purchases.order_id = numbered.order_id AND purchases.sku = numbered.sku;

ALTER TABLE subscriptions ALTER COLUMN arrival SET NOT NULL, ALTER COLUMN arrival SET DEFAULT nextval('arrivals');
ALTER TABLE purchases ALTER COLUMN arrival SET NOT NULL, ALTER COLUMN arrival SET DEFAULT nextval('arrivals');
COMMENT ON COLUMN subscriptions.wished_at IS 'Not read any more; arrival stands for it.';

CREATE OR REPLACE VIEW standing_purchases AS
SELECT subscriptions.id AS subscription_id, purchases.order_id, purchases.sku, purchases.bought_at
FROM purchases
JOIN contacts USING (customer_id)
JOIN subscriptions ON subscriptions.email = contacts.email AND subscriptions.sku = purchases.sku
WHERE subscriptions.state IN ('waiting', 'notified') AND purchases.arrival > subscriptions.arrival;
