-- Redacts an event of a log: readers get its position without its text. `append.lua` keeps the
-- redactions at least as long as the log.
-- KEYS: the log (stream), its redactions (sorted set of ids by their ms).
-- ARGV: the id, its ms, the log's age in ms, the channel of Parlor's own nodes, the redaction
-- event.
-- Returns 1 if the log has the event, else 0.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
if redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[3] + 1000)
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return 1
