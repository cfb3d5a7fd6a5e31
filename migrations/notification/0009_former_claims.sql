-- While TOKEN_KEY is being changed a subscription has two claims: the one that new messages carry, and the one in the
-- messages that were sent before.
ALTER TABLE subscriptions ADD COLUMN former_claim text UNIQUE;
