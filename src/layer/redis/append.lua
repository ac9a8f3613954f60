-- Writes an event to a log and publishes it, once for each key.
-- KEYS: the log (a stream), the key's memory. ARGV: the channel, the open event, the log's length, its age in
-- ms, the time after which the caller has given up (ms since 1970), the event's digest or nothing if there is no key,
-- how long the key is remembered in ms.
-- Returns what became of it and an id: `new`, `known`, `conflict`; or `late` and the time.
local function text(value) -- as MessagePack
  if #value < 32 then
    return string.char(160 + #value) .. value
  end
  return '\217' .. string.char(#value) .. value
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[5]) then
  return {'late', string.format('%.0f', now)}
end
if ARGV[6] ~= '' then
  local known = redis.call('GET', KEYS[2])
  if known then
    local id, digest = known:match('^(%S+) (%S+)$')
    return {digest == ARGV[6] and 'known' or 'conflict', id}
  end
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] or '0-0'
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[2], 'p', prev)
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[2], id .. ' ' .. ARGV[6], 'PX', ARGV[7])
end
redis.call('PUBLISH', ARGV[1], ARGV[2] .. '\162id' .. text(id) .. '\164prev' .. text(prev))
return {'new', id}
