-- Appends a decision to the log of decisions and publishes it; without one, marks an empty log, so
-- that each node has a position in it.
-- KEYS: the log (stream).
-- ARGV: the channel, the decision as JSON or '', a random nonce, the log's length, its age in ms.
-- Returns the position of the newest entry: its id and its nonce, joined by a dot.
local call = redis.call
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] .. '.' .. newest[2][2] or '-'
if ARGV[2] == '' and newest then
  return prev
end
local id = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'n', ARGV[3], 'p', prev, 'd', ARGV[2])
-- By the log's own time, of which the entry just added is the newest.
call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(id:match('^%d+') - ARGV[5], 0)))
local position = id .. '.' .. ARGV[3]
call('PUBLISH', ARGV[1], position .. ' ' .. prev .. ' ' .. ARGV[2])
return position
