-- Checks conditions, and makes changes if all of them hold.
-- KEYS: the key of each condition, then of each change.
-- ARGV: the number of conditions; then for each key an operation, a text and a number.
-- Returns the number of the first condition that does not hold, or 0.
local call = redis.call

local checks = {
  announced = function(key, change)
    return call('SISMEMBER', key, change) == 1
  end,
  equals = function(key, value)
    return call('GET', key) == value
  end,
  absent = function(key)
    return call('EXISTS', key) == 0
  end,
  above = function(key, name, rank)
    return tonumber(call('ZSCORE', key, name) or -1) > rank
  end,
  fits = function(key, name, limit)
    return call('ZSCORE', key, name) or call('ZCARD', key) < limit
  end,
  -- The users of a group: see `group.lua`.
  no_members = function(key)
    local state = call('HGET', key, ' m')
    return not state or struct.unpack('<I', state) == 0
  end,
  no_events = function(key)
    return call('XLEN', key) == 0
  end,
}
local changes = {
  put = function(key, value)
    call('SET', key, value, 'KEEPTTL')
  end,
  delete = function(key)
    call('UNLINK', key)
  end,
  add = function(key, name, rank)
    call('ZADD', key, 'NX', string.format('%.0f', rank), name)
  end,
  remove = function(key, name)
    call('ZREM', key, name)
  end,
  remove_ranked = function(key, name, rank)
    if tonumber(call('ZSCORE', key, name)) == rank then
      call('ZREM', key, name)
    end
  end,
  trim = function(key, _, keep)
    call('ZREMRANGEBYRANK', key, 0, -keep - 1)
  end,
}

local conditions = tonumber(ARGV[1])
for i = 1, #KEYS do
  local operation, text, number = ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  if i > conditions then
    changes[operation](KEYS[i], text, number)
  elseif not checks[operation](KEYS[i], text, number) then
    return i
  end
end
return 0
