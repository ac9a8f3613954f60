-- Reads a part of a group's log, bounded in number and in bytes.
-- KEYS: the log (stream), its redactions (sorted set of ids by their ms).
-- ARGV: `XRANGE` or `XREVRANGE`, where it begins (an id, one after `(`, or `+`), the most entries,
-- their most bytes (one entry is read whatever its size), the log's length or 0: the log is trimmed in
-- steps, and those beyond its length are left out, as far as they have not more bytes than a page.
-- Returns the id of the log's newest entry ('0-0' if there is none), 1 if the log has more in this
-- direction, the entries, and the redactions of their time. Readers wait for it in turns of one
-- page, so that nothing is read that they do not get, but at most STEP entries.
local STEP = 16
local call, pcall = redis.call, redis.pcall
local log, command, from = KEYS[1], ARGV[1], ARGV[2]
local most, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local to = command == 'XRANGE' and '+' or '-'

local newest = pcall('XREVRANGE', log, '+', '-', 'COUNT', 1)
if newest.err then
  return newest
end

local function size_of(entry)
  local size = 0
  for _, text in ipairs(entry[2]) do
    size = size + #text
  end
  return size
end
local function parts(id)
  local ms, sequence = id:match('^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

-- Which entries are beyond the log's length: those with an earlier number than as many before the
-- newest and of other epochs, or, in a younger epoch than that, the oldest entries.
local length, skippable = tonumber(ARGV[5]), bytes
local epoch, last_beyond, beyond_ms, beyond_sequence = '', 0, nil, nil
if length > 0 and newest[1] and call('XLEN', log) > length then
  local offset = newest[1][2][7] == 'o' and newest[1][2][8] or ''
  local number = tonumber(offset:sub(18)) or 0
  if number >= length then
    epoch, last_beyond = offset:sub(1, 17), number - length
  else
    local excess, start, left = call('XLEN', log) - length, '-', bytes
    while excess > 0 and left > 0 do
      local read = call('XRANGE', log, start, '+', 'COUNT', math.min(excess, STEP))
      for _, entry in ipairs(read) do
        left = left - size_of(entry)
      end
      excess, start = excess - #read, '(' .. read[#read][1]
    end
    beyond_ms, beyond_sequence = parts(start:sub(2))
  end
end
local function is_beyond(entry)
  if beyond_ms then
    local ms, sequence = parts(entry[1])
    return ms < beyond_ms or ms == beyond_ms and sequence <= beyond_sequence
  elseif epoch == '' or skippable <= 0 then
    return false
  end
  local offset = entry[2][7] == 'o' and entry[2][8] or ''
  return offset:sub(1, 17) ~= epoch or (tonumber(offset:sub(18)) or 0) <= last_beyond
end

local entries, size, step, more = {}, 0, 2, nil
while more == nil do
  local asked = math.min(step, most + 1 - #entries)
  local read = call(command, log, from, to, 'COUNT', asked)
  -- Those beyond are the oldest: of a page from the newest on, the last ones.
  local has_beyond = to == '-' and #read > 0 and is_beyond(read[#read])
  for _, entry in ipairs(read) do
    local is_left_out = (has_beyond or to == '+' and #entries == 0) and is_beyond(entry)
    if is_left_out and to == '-' then
      more = 0
      break
    elseif is_left_out then
      skippable = skippable - size_of(entry)
    else
      size = size + size_of(entry)
      if #entries == most or (size > bytes and #entries > 0) then
        more = 1
        break
      end
      entries[#entries + 1] = entry
    end
  end
  if more == nil and #read < asked then
    more = 0
  elseif more == nil then
    from = '(' .. read[#read][1]
    -- As many as fit if the others are like these.
    local fit = #entries > 0 and math.floor((bytes - size) / (size / #entries)) + 1 or STEP
    step = math.max(1, math.min(STEP, fit))
  end
end

local redacted = {}
if #entries > 0 then
  local first, last = entries[1][1]:match('^%d+'), entries[#entries][1]:match('^%d+')
  if command == 'XREVRANGE' then
    first, last = last, first
  end
  redacted = pcall('ZRANGEBYSCORE', KEYS[2], first, last)
  if redacted.err then
    return redacted
  end
end
return {newest[1] and newest[1][1] or '0-0', more, entries, redacted}
