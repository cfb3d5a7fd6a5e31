-- A call to the gateway is ended after 12 s; a longer latency, once allowed, let no payment settle. The bound is
-- `gateway::LONGEST_LATENCY` of the service.
UPDATE gateway.switch SET latency_ms = 10000 WHERE latency_ms > 10000;
ALTER TABLE gateway.switch
    DROP CONSTRAINT switch_latency_ms_check,
    ADD CONSTRAINT switch_latency_ms_check CHECK (latency_ms BETWEEN 0 AND 10000);
