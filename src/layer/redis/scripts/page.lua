-- Reads a part of a group's log, bounded in number and in bytes.
-- KEYS: the log (stream), its redactions (sorted set of ids by their ms).
-- ARGV: `XRANGE` or `XREVRANGE`, where it begins (an id, one after `(`, or `+`), the most entries,
-- their most bytes; one entry is read whatever its size.
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

local entries, size, step, more = {}, 0, 2, nil
while more == nil do
  local asked = math.min(step, most + 1 - #entries)
  local read = call(command, log, from, to, 'COUNT', asked)
  for _, entry in ipairs(read) do
    for _, text in ipairs(entry[2]) do
      size = size + #text
    end
    if #entries == most or (size > bytes and #entries > 0) then
      more = 1
      break
    end
    entries[#entries + 1] = entry
  end
  if more == nil and #read < asked then
    more = 0
  elseif more == nil then
    from = '(' .. read[#read][1]
    -- As many as fit if the others are like these.
    local fit = math.floor((bytes - size) / (size / #entries)) + 1
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
