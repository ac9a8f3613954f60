-- Returns the id of a log's newest entry ('0-0' if there is none), then its newest redactions. The
-- entry itself, which may be large, stays in Redis.
-- KEYS: the log (stream), its redactions (sorted set of ids by their ms).
-- ARGV: the most redactions.
local newest = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if newest.err then
  return newest
end
local answer = redis.pcall('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1)
if not answer.err then
  table.insert(answer, 1, newest[1] and newest[1][1] or '0-0')
end
return answer
