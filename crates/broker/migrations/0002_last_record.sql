-- The record that stood right before a position when the position was last advanced. The consumer reads it again before
-- it goes on, so that a log that was cut or made anew, and has grown past the position since, is noticed.
-- NULL after a rewind and before the first record. It counts only while last_offset = next_offset - 1: an older version,
-- or an operator's UPDATE, moves next_offset alone.
ALTER TABLE broker.positions
    ADD COLUMN last_offset bigint,
    ADD COLUMN last_record bytea,                  -- 16 bytes: a digest of its topic, time, key, headers and value
    ADD COLUMN last_at     timestamptz;            -- when Kafka appended it (LogAppendTime), by Kafka's clock
