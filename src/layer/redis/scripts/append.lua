-- Writes events to a log, one after another, and publishes each, once for each key.
-- KEYS: the log (a stream), the ids of its covered events, then for each event its key's memory. ARGV: the channel, the log's length, its age in ms,
-- how long keys are remembered in ms; then for each event: its open bytes, the time after which its sender has given
-- up (ms since 1970), and its digest or nothing if there is no key.
-- Returns for each event what became of it and an id: `new`, `known`, `conflict`; or `late` and the time.
local function text(value) -- as MessagePack
  if #value < 32 then
    return string.char(160 + #value) .. value
  end
  return '\217' .. string.char(#value) .. value
end

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = newest and newest[1] or '0-0'
local prev = before
local answers = {}

for i = 3, #KEYS do
  local open, given_up, digest = ARGV[3 * i - 4], ARGV[3 * i - 3], ARGV[3 * i - 2]
  local known = digest ~= '' and call('GET', KEYS[i])
  local verdict, id
  if now > tonumber(given_up) then
    verdict, id = 'late', string.format('%.0f', now)
  elseif known then
    local first, theirs = known:match('^(%S+) (%S+)$')
    verdict, id = digest == theirs and 'known' or 'conflict', first
  else
    verdict, id = 'new', call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'e', open, 'p', prev)
    if digest ~= '' then
      call('SET', KEYS[i], id .. ' ' .. digest, 'PX', ARGV[4])
    end
    call('PUBLISH', ARGV[1], open .. '\162id' .. text(id) .. '\164prev' .. text(prev))
    prev = id
  end
  answers[#answers + 1] = verdict
  answers[#answers + 1] = id
end

-- Once a second is enough for what is too old, and for the log's own end; also where nobody pauses so long.
local function second(id)
  return math.floor(id:match('^%d+') / 1000)
end
if prev ~= before and second(prev) ~= second(before) then
  call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - ARGV[3]))
  call('PEXPIRE', KEYS[1], ARGV[3] + 1000)
  if call('PEXPIRE', KEYS[2], ARGV[3] + 1000) == 1 then
    local oldest = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest and '(' .. oldest[1]:match('^%d+') or '+inf')
  end
end
return answers
