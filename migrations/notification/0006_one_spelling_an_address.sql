-- Earlier versions stored several spellings of one address: an internationalised domain and its A-labels, composed and
-- decomposed letters, a quoted local part that needs no quotes. `notification migrate` writes each address in its canonical
-- form (events::values::EmailAddress), which no SQL can compute, right after this migration. Of two active subscriptions of
-- a product that turn out to be one person's, one is merged into the other; nothing is told twice, and no place is lost.
COMMENT ON COLUMN contacts.email IS 'In the canonical form of events::values::EmailAddress; NULL when erased.';
COMMENT ON COLUMN subscriptions.email IS
    'In the canonical form of events::values::EmailAddress; NULL when it is not known yet, or forgotten.';
