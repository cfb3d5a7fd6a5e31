-- What raised a level last: the event that a wave's messages name as their cause, and its trace.
ALTER TABLE stock
    ADD COLUMN caused_by   uuid,                              -- the ce_id of the event of topic `stock`
    ADD COLUMN traceparent text;
