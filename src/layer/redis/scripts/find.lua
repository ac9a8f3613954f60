-- Finds the first entry of a group's log that has a number or a greater one, in the epoch of the
-- newest entry: see `append.lua`.
-- KEYS: the log (stream).
-- ARGV: the epoch, the number.
-- Returns the id of the entry, the id before it and its offset, or nothing if the log has none, or
-- another epoch. Numbers rise with the ids: the time is halved until one millisecond is left, then
-- the places in that.
local log, number = KEYS[1], tonumber(ARGV[2])
local epoch = ARGV[1] .. ':'
local call = redis.call
local newest = redis.pcall('XREVRANGE', log, '+', '-', 'COUNT', 1)
if newest.err then
  return newest
end
newest = newest[1]

-- Returns the number of an entry; 0 in another epoch and without one: those are before all others.
local function number_of(entry)
  local fields = entry[2]
  local is_ours = fields[7] == 'o' and fields[8]:sub(1, 17) == epoch
  return is_ours and tonumber(fields[8]:sub(18)) or 0
end
local function first_from(id)
  return call('XRANGE', log, id, '+', 'COUNT', 1)[1]
end
local function parts(entry)
  local ms, sequence = entry[1]:match('^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end
local function is_before(entry)
  return number_of(entry) < number
end

-- Halves what is between `low`, from which on the first entry is before, and `high`, from which on it
-- is not; returns the last one from which on it is before.
local function last_before(low, high, id_of)
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if middle == low or middle == high then
      break -- numbers of Lua are not that exact
    end
    local entry = first_from(id_of(middle))
    if entry and is_before(entry) then
      low = middle
    else
      high = middle
    end
  end
  return low
end

if not newest or number_of(newest) < math.max(number, 1) then
  return {}
end
local found = newest
if number_of(newest) > number then
  found = first_from('-')
  if is_before(found) then
    local first_ms, last_ms = parts(found), parts(newest)
    local ms = string.format('%.0f', last_before(first_ms, last_ms + 1, function(middle)
      return string.format('%.0f-0', middle)
    end))
    local _, low = parts(first_from(ms .. '-0'))
    local _, high = parts(call('XREVRANGE', log, ms, ms .. '-0', 'COUNT', 1)[1])
    local sequence = last_before(low, high + 1, function(middle)
      return string.format('%s-%.0f', ms, middle)
    end)
    found = first_from('(' .. first_from(string.format('%s-%.0f', ms, sequence))[1])
  end
end
return {found[1], found[2][3] == 'p' and found[2][4] or '0-0', found[2][8]}
