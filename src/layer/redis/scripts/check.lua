-- Writes to a log as `append.lua` does, so that a node learns whether Redis lets it.
-- KEYS: 1 a key of this node
-- Returns the number of entries that the log had. Leaves nothing.
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[1], '*', 'e', '')
local count = redis.call('XLEN', KEYS[1])
redis.call('DEL', KEYS[1])
return count
