-- Appends events to a group's log and publishes each, once for each idempotency key.
-- KEYS: the log (stream), its redactions (sorted set), then the idempotency key of each event
-- (string).
-- ARGV: the channel, the log's length, its age in ms, the window of idempotency keys in ms, a random
-- number of 16 bits, the log's most bytes or 0, the run id of this server or ''; then for each event:
-- its open bytes, its deadline (Unix ms of this clock), its digest or '' without a key.
-- Returns a status, a value and an offset for each event: `new` or `known` with an id and its offset,
-- `conflict` with an id, `corrupt` for an idempotency key whose value is no id and digest, or `late`
-- with the time. What is not there is ''. A key of the version before has no offset.
local function messagepack(text)
  if #text < 32 then
    return string.char(160 + #text) .. text
  end
  return '\217' .. string.char(#text) .. text
end

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = newest and newest[1] or '0-0'
local prev, packed_prev = before, messagepack(before)
local replies = {}

-- The id of the next event: Redis' time, and a number that begins at random in each call, so that
-- no id is used twice, though the log was lost, a server without its end took over, or the clock
-- was set back. A new log begins with the microseconds: its ids rise also within a millisecond.
local id_ms, id_number = before:match('^(%d+)-(%d+)$')
id_ms, id_number = tonumber(id_ms), tonumber(id_number)
local ms_before = id_ms
if now > id_ms then
  id_ms, id_number = now, newest and -1 or time[2] % 1000 * 65536 - 1
end
local step = ARGV[5] + 1

-- An entry has the sum `b` of the bytes of all up to it: the log's size is a difference.
local ENTRY_BYTES = 64 -- of an entry beside its event
local function sum_of(entry)
  return entry and entry[2][5] == 'b' and tonumber(entry[2][6]) or 0
end
local sum_before = sum_of(newest)
local sum = sum_before

-- An entry has the offset `o`: an epoch, and its number in it. A new epoch begins with the log, after
-- an entry without an offset, and when another server, or this one after a restart, appends to the
-- log: it may not have the last entries, and must not use their offsets again. An epoch is half of the
-- server and half at random. `b` stays before it: versions without offsets look for it there.
local server, epoch, number = ARGV[7], nil, 0
if server == '' then
  local info = redis.pcall('INFO', 'server')
  server = type(info) == 'string' and info:match('run_id:(%x+)') or ''
end
local function begin_epoch(random)
  local from = server == '' and '00000000' or server:sub(1, 8)
  random = random or string.format('%04x%04x', ARGV[5], time[2] % 65536)
  epoch, number = from .. random .. ':', 0
end

-- Half of the epoch that readers of this log without entries were promised (see `next_offset.lua`).
local function promised()
  local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
  for i = 1, stream.err and 0 or #stream, 2 do
    if stream[i] == 'last-generated-id' then
      local mark = tonumber(stream[i + 1]:match('%-(%d+)$')) - 2 ^ 40
      return mark >= 0 and string.format('%08x', mark) or nil
    end
  end
end
if newest and newest[2][7] == 'o' then
  local offset = newest[2][8]
  epoch, number = offset:sub(1, 17), tonumber(offset:sub(18))
end
if not number or not epoch or server ~= '' and epoch:sub(1, 8) ~= server:sub(1, 8) then
  begin_epoch(not newest and promised() or nil)
end

-- The header of a long map that has one member more, and where its members begin.
local function longer_header(open)
  local first, high, low = open:byte(1, 3)
  if first == 143 then
    return '\222\0\16', 2
  end
  local count = high * 256 + low + 1
  return '\222' .. string.char(math.floor(count / 256), count % 256), 4
end

local function append(open)
  id_number, step = id_number + step, 1
  sum = sum + #open + ENTRY_BYTES
  local total = string.format('%.0f', sum)
  local id = string.format('%.0f-%.0f', id_ms, id_number)
  number = number + 1
  local offset = epoch .. number
  local added =
    redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], id, 'e', open, 'p', prev, 'b', total, 'o', offset)
  if type(added) == 'table' and added.err:find('equal or smaller', 1, true) then
    -- The log has had ids that it has no more, and their offsets.
    begin_epoch()
    number = 1
    offset = epoch .. '1'
    added = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'e', open, 'p', prev, 'b', total, 'o', offset)
    local ms, sequence = added:match('^(%d+)-(%d+)$')
    id_ms, id_number = tonumber(ms), tonumber(sequence)
  end
  return added, offset
end

for i = 3, #KEYS do
  local open, deadline, digest = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local remembered = digest ~= '' and call('GET', KEYS[i])
  local status, value, offset = nil, '', ''
  if now > tonumber(deadline) then
    status, value = 'late', string.format('%.0f', now)
  elseif remembered then
    local first_id, first_digest, first_offset = remembered:match('^(%S+) (%S+) ?(%S*)$')
    if not first_id then
      status = 'corrupt'
    elseif digest == first_digest then
      status, value, offset = 'known', first_id, first_offset
    else
      status, value = 'conflict', first_id
    end
  else
    local id
    id, offset = append(open)
    if id.err then
      return id
    end
    if digest ~= '' then
      call('SET', KEYS[i], id .. ' ' .. digest .. ' ' .. offset, 'PX', ARGV[4])
    end
    local first, header, from = open:byte(), nil, 2
    if first < 143 then
      header = string.char(first + 1)
    else
      header, from = longer_header(open)
    end
    local packed_id, packed_offset = messagepack(id), messagepack(offset)
    call(
      'PUBLISH',
      ARGV[1],
      header .. open:sub(from) .. '\162id' .. packed_id .. '\164prev' .. packed_prev .. '\166offset' .. packed_offset
    )
    status, value = 'new', id
    prev, packed_prev = id, packed_id
  end
  local at = 3 * (i - 3)
  replies[at + 1], replies[at + 2], replies[at + 3] = status, value, offset
end

-- A log over its bytes loses its oldest entries, a bounded number in a call. It is looked at
-- whenever it grew by a part of its bytes, and ends below them by as much.
local most = tonumber(ARGV[6])
local part = math.max(most / 32, 1)
if most > 0 and math.floor(sum / part) ~= math.floor(sum_before / part) then
  local from, kept, fits = '-', nil, false
  for _ = 1, 64 do
    local read = call('XRANGE', KEYS[1], from, '+', 'COUNT', 16)
    for _, entry in ipairs(read) do
      kept = entry[1]
      fits = sum - sum_of(entry) <= most - part
      if fits then
        break
      end
    end
    if fits or #read < 16 then
      break
    end
    from = '(' .. kept
  end
  if kept then
    call('XTRIM', KEYS[1], 'MINID', kept)
  end
end

-- Old events and the lifetime of the log are seen to once a second, also while no second passes
-- without an append.
if prev ~= before and math.floor(id_ms / 1000) ~= math.floor(ms_before / 1000) then
  call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - ARGV[3]))
  call('PEXPIRE', KEYS[1], ARGV[3] + 1000)
  if call('PEXPIRE', KEYS[2], ARGV[3] + 1000) == 1 then
    local oldest = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest and '(' .. oldest[1]:match('^%d+') or '+inf')
  end
end
return replies
