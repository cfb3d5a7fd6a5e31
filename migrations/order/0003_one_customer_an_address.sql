-- Earlier versions took two spellings of an address for two customers: an internationalised domain and its A-labels,
-- composed and decomposed letters, a quoted local part that needs no quotes. `order migrate` writes each address in its
-- canonical form (events::values::EmailAddress), which no SQL can compute, right after this migration. Where two
-- customers turn out to be one, the first keeps the address; the other one's row stays, because orders and events name
-- it, with its old spelling and a pointer. New orders go to the first one, an erasure of either reaches both.
ALTER TABLE customers
    ADD COLUMN merged_into uuid REFERENCES customers CHECK (merged_into <> id);

CREATE INDEX customers_merged ON customers (merged_into) WHERE merged_into IS NOT NULL;

COMMENT ON COLUMN customers.email IS
    'In the canonical form of events::values::EmailAddress, but for merged customers; NULL when erased.';
