-- Returns the offset that the next entry of a log will have: `<epoch>:<number>`, or '' if the newest
-- entry has none, or the stream is not empty and cannot say.
-- KEYS: the log (stream).
-- ARGV: for how long the epoch of a log without entries is kept in ms, a random number of 32 bits.
-- A log without entries has no place for its epoch but the last id of its stream: an id with the
-- number EPOCH_MARK and more is none of an entry, and says half of the epoch (see `append.lua`).
local EPOCH_MARK = 2 ^ 40
local call, pcall = redis.call, redis.pcall
local newest = pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if newest.err then
  return newest
end
if newest[1] then
  local offset = newest[1][2][7] == 'o' and newest[1][2][8]
  local epoch, number = (offset or ''):match('^(%x+):(%d+)$')
  return epoch and string.format('%s:%.0f', epoch, number + 1) or ''
end

local info = pcall('INFO', 'server')
local server = type(info) == 'string' and info:match('run_id:(%x+)') or ''
local function mark_of(stream)
  for i = 1, #stream, 2 do
    if stream[i] == 'last-generated-id' then
      return tonumber(stream[i + 1]:match('%-(%d+)$')), tonumber(stream[i + 1]:match('^%d+'))
    end
  end
end
local stream = pcall('XINFO', 'STREAM', KEYS[1])
local mark, ms = 0, 0
if not stream.err then
  mark, ms = mark_of(stream)
end
if mark < EPOCH_MARK then
  local time = call('TIME')
  -- Before the ids of this millisecond, and after those that the log has had.
  ms = math.max(time[1] * 1000 + math.floor(time[2] / 1000) - 1, ms)
  mark = EPOCH_MARK + tonumber(ARGV[2])
  local added = pcall('XADD', KEYS[1], string.format('%.0f-%.0f', ms, mark), 'o', '')
  if type(added) == 'table' then
    return ''
  end
  call('XDEL', KEYS[1], added)
  call('PEXPIRE', KEYS[1], ARGV[1])
end
return string.format('%s%08x:1', server == '' and '00000000' or server:sub(1, 8), mark - EPOCH_MARK)
