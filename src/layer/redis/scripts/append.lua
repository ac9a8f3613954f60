-- Appends events to a group's log and publishes each, once for each idempotency key.
-- KEYS: the log (stream), its redactions (sorted set), then the idempotency key of each event
-- (string).
-- ARGV: the channel, the log's length, its age in ms, the window of idempotency keys in ms, a random
-- number of 16 bits, the log's most bytes or 0, the first 8 digits of this server's run id or '';
-- then for each event: its open bytes, its deadline (Unix ms of this clock), its digest or '' without
-- a key.
-- Returns a text for each event: `new <id> <offset>`, or `known <id> <offset>` for one that was
-- appended before, without an offset if the log has it no more or a version without offsets appended
-- it; `conflict` if that was another event, `corrupt` for an idempotency key whose value is no id and
-- digest, or `late <time>`. docs/performance.md has what this costs: it saves calls, closures and
-- texts.
local call, char, format = redis.call, string.char, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = newest and newest[1] or '0-0'
local fields = newest and newest[2] or {}
local prev = before
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
local ms = format('%.0f-', id_ms)
local step = ARGV[5] + 1

-- `%d` costs a third of `%.0f`, and ends at 2^31 where Redis is built for 32 bits.
local INTEGERS = 2 ^ 31

-- An entry has the sum `b` of the bytes of all up to it: the log's size is a difference.
local ENTRY_BYTES = 64 -- of an entry beside its event
local sum_before = fields[5] == 'b' and tonumber(fields[6]) or 0
local sum = sum_before

-- An entry has the offset `o`: an epoch, and its number in it. A new epoch begins with the log, after
-- an entry without an offset, and when another server, or this one after a restart, appends to the
-- log: it may not have the last entries, and must not use their offsets again. An epoch is half of the
-- server and half at random. `b` stays before it: versions without offsets look for it there.
local server, epoch, number = ARGV[7], nil, nil
if server == '' then
  local info = redis.pcall('INFO', 'server')
  server = type(info) == 'string' and info:match('run_id:(%x%x%x%x%x%x%x%x)') or ''
end
if fields[7] == 'o' then
  local offset = fields[8]
  if server == '' or offset:sub(1, 8) == server then
    epoch, number = offset:sub(1, 17), tonumber(offset:sub(18))
  end
end
local function begin_epoch(random)
  local from = server == '' and '00000000' or server
  random = random or format('%04x%04x', ARGV[5], time[2] % 65536)
  epoch, number = from .. random .. ':', 0
end
if not number then
  -- Half of the epoch that readers of this log without entries were promised (see `next_offset.lua`).
  local promised = nil
  if not newest then
    local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
    for i = 1, stream.err and 0 or #stream, 2 do
      if stream[i] == 'last-generated-id' then
        local mark = tonumber(stream[i + 1]:match('%-(%d+)$')) - 2 ^ 40
        promised = mark >= 0 and format('%08x', mark) or nil
      end
    end
  end
  begin_epoch(promised)
end

for i = 3, #KEYS do
  local key, open, deadline, digest = KEYS[i], ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local reply
  -- No other event has had this number, though this one may turn out not to be new.
  id_number, step = id_number + step, 1
  local id = ms .. format(id_number < INTEGERS and '%d' or '%.0f', id_number)
  if now > tonumber(deadline) then
    reply = format('late %.0f', now)
  elseif digest ~= '' and not call('SET', key, id .. ' ' .. digest, 'PX', ARGV[4], 'NX') then
    -- Versions without offsets read this value, too: it has no place for one.
    local first_id, first_digest = call('GET', key):match('^(%S+) (%S+)$')
    if not first_id then
      reply = 'corrupt'
    elseif digest ~= first_digest then
      reply = 'conflict'
    else
      local entry = redis.pcall('XRANGE', KEYS[1], first_id, first_id)[1]
      reply = 'known ' .. first_id .. ' ' .. (entry and entry[2][7] == 'o' and entry[2][8] or '')
    end
  else
    sum, number = sum + #open + ENTRY_BYTES, number + 1
    local total = format(sum < INTEGERS and '%d' or '%.0f', sum)
    local offset = epoch .. number
    local added =
      redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], id, 'e', open, 'p', prev, 'b', total, 'o', offset)
    if type(added) == 'table' then
      if digest ~= '' then
        call('DEL', key)
      end
      if not added.err:find('equal or smaller', 1, true) then
        return added
      end
      -- The log has had ids that it has no more, and their offsets.
      begin_epoch()
      number, offset = 1, epoch .. '1'
      id = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'e', open, 'p', prev, 'b', total, 'o', offset)
      if digest ~= '' then
        call('SET', key, id .. ' ' .. digest, 'PX', ARGV[4])
      end
      id_ms, id_number = id:match('^(%d+)-(%d+)$')
      ms, id_ms, id_number = id_ms .. '-', tonumber(id_ms), tonumber(id_number)
    end
    -- The published map has a member more than the log's, which versions without offsets read.
    local first, header, from = open:byte(), nil, 2
    if first < 143 then
      header = char(first + 1)
    elseif first == 143 then
      header = '\222\0\16'
    else
      local high, low = open:byte(2, 3)
      local count = high * 256 + low + 1
      header, from = '\222' .. char(math.floor(count / 256), count % 256), 4
    end
    call(
      'PUBLISH',
      ARGV[1],
      header .. open:sub(from)
        .. '\162id\217' .. char(#id) .. id
        .. '\164prev\217' .. char(#prev) .. prev
        .. '\166offset\217' .. char(#offset) .. offset
    )
    reply = 'new ' .. id .. ' ' .. offset
    prev = id
  end
  replies[i - 2] = reply
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
      local sum_of = entry[2][5] == 'b' and tonumber(entry[2][6]) or 0
      fits = sum - sum_of <= most - part
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
  call('XTRIM', KEYS[1], 'MINID', '~', format('%.0f', now - ARGV[3]))
  call('PEXPIRE', KEYS[1], ARGV[3] + 1000)
  if call('PEXPIRE', KEYS[2], ARGV[3] + 1000) == 1 then
    local oldest = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest and '(' .. oldest[1]:match('^%d+') or '+inf')
  end
end
return replies
