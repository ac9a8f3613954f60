-- Removes all entries of a group's log. The stream stays until it expires: its last id goes on.
-- KEYS: the log (stream), its redactions (sorted set of ids by their ms).
-- ARGV: the channel of Parlor's own nodes, and the event that reports it, open for a text: the id of
-- the newest entry that was removed.
-- Returns 1 if the log had entries, else 0.
local call = redis.call
local newest = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if newest.err then
  return newest
end
if not newest[1] then
  return 0
end
local last = newest[1][1]
call('XTRIM', KEYS[1], 'MAXLEN', 0)
call('DEL', KEYS[2])
call('PUBLISH', ARGV[1], ARGV[2] .. '\217' .. string.char(#last) .. last)
return 1
