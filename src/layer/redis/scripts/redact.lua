-- Covers an event of a log: whoever reads the log is given its place without its text. The set ends no sooner than the
-- log does, which an append sees to.
-- KEYS: the log, the ids of its covered events (a sorted set, by the id's ms). ARGV: the id, its ms, the log's age in
-- ms, the channel of our own nodes, and the event that tells it.
-- Returns whether the log has the event.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
if redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[3] + 1000)
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return 1
