-- A topic that is made anew, or read under another TOPIC_PREFIX, has other records at the same offsets: the record's
-- digest tells their dead letters apart. Rows of older versions have none; they stand for every record that was at that
-- place when they were written.
ALTER TABLE broker.dead_letters
    ADD COLUMN record bytea NOT NULL DEFAULT '',
    DROP CONSTRAINT dead_letters_pkey,
    ADD PRIMARY KEY (topic, partition, log_offset, record);
