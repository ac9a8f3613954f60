-- Appends decisions to the log of decisions and publishes them. An empty one only marks an empty
-- log, so that each node has a position in it.
-- KEYS: the log (stream), the ids of announced changes (set).
-- ARGV: the channel, the log's length, its age in ms, the id of the change that is announced or '';
-- then for each decision a random nonce and its JSON or ''.
-- Returns the position of the newest entry: its id and its nonce, joined by a dot; then, for an
-- empty decision, the ids of the changes that are announced.
local call = redis.call
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] .. '.' .. newest[2][2] or '-'
local reply = {prev}
if ARGV[4] ~= '' then
  call('SADD', KEYS[2], ARGV[4])
elseif ARGV[6] == '' then
  for i, change in ipairs(call('SMEMBERS', KEYS[2])) do
    reply[i + 1] = change
  end
  if newest then
    return reply
  end
end
local id
for i = 5, #ARGV, 2 do
  local nonce, decision = ARGV[i], ARGV[i + 1]
  id = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'n', nonce, 'p', prev, 'd', decision)
  local position = id .. '.' .. nonce
  call('PUBLISH', ARGV[1], position .. ' ' .. prev .. ' ' .. decision)
  prev = position
end
-- By the log's own time, of which the entry just added is the newest.
call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(id:match('^%d+') - ARGV[3], 0)))
reply[1] = prev
return reply
