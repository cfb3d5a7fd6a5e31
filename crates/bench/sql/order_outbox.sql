with o as (
    insert into bench.orders (email, payment_method, total) values ('floor-' || :client_id || '@example.com', 'pm_card_visa', 3897)
    returning id, total)
insert into bench.outbox (topic, key, payload)
select 'orders', id::text, jsonb_build_object('order_id', id, 'total', total, 'currency', 'EUR', 'payment_method', 'pm_card_visa',
    'items', '[{"sku": "sku-1", "quantity": 1}, {"sku": "sku-2", "quantity": 2}]'::jsonb, 'placed_at', now())
from o;
