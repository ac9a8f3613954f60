-- Appends decisions to the log of decisions and publishes them. An empty one only marks an empty
-- log, so that each node has a position in it. Of decisions that may be dropped (instructions) the
-- log has a number of its own, so that they push no others out.
-- KEYS: the log (stream), the ids of announced changes (set), the positions of the decisions in the
-- log that may be dropped (list).
-- ARGV: the channel, the log's length, its age in ms, the id of the change that is announced or '',
-- how many decisions that may be dropped the log has, '1' if these may be or ''; then for each
-- decision a random nonce and its JSON or ''.
-- An entry has the position of the newest one before it that may not be dropped, in `c`; `i` marks
-- those that may be.
-- Returns the position of the newest entry: its id and its nonce, joined by a dot; then, for an
-- empty decision, the position of the newest that may not be dropped, and the ids of the changes
-- that are announced.
local call = redis.call
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] .. '.' .. newest[2][2] or '-'
local lasting = prev
if newest and newest[2][9] == 'i' then
  lasting = newest[2][8]
end
local reply = {prev}
if ARGV[4] ~= '' then
  call('SADD', KEYS[2], ARGV[4])
elseif ARGV[8] == '' then
  reply[2] = lasting
  for i, change in ipairs(call('SMEMBERS', KEYS[2])) do
    reply[i + 2] = change
  end
  if newest then
    return reply
  end
end
local id
for i = 7, #ARGV, 2 do
  local nonce, decision = ARGV[i], ARGV[i + 1]
  local fields = {'n', nonce, 'p', prev, 'd', decision, 'c', lasting}
  if ARGV[6] ~= '' then
    fields[9], fields[10] = 'i', '1'
  end
  id = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
  local position = id .. '.' .. nonce
  call('PUBLISH', ARGV[1], position .. ' ' .. prev .. ' ' .. decision)
  prev = position
  if ARGV[6] == '' then
    lasting = position
  elseif call('RPUSH', KEYS[3], position) > tonumber(ARGV[5]) then
    local oldest, its_nonce = call('LPOP', KEYS[3]):match('^(.-)%.(.*)$')
    local entry = call('XRANGE', KEYS[1], oldest, oldest)[1]
    -- A log that was lost may have its id again.
    if entry and entry[2][2] == its_nonce then
      call('XDEL', KEYS[1], oldest)
    end
  end
end
if ARGV[6] ~= '' then
  call('PEXPIRE', KEYS[3], ARGV[3])
end
-- By the log's own time, of which the entry just added is the newest.
call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(id:match('^%d+') - ARGV[3], 0)))
reply[1] = prev
if ARGV[8] == '' then
  reply[2] = lasting
end
return reply
