-- The functions that the scripts about users share; it stands before each of them.

-- Returns the time of Redis in ms.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Publishes a presence event on the channel of a group: `join` or `leave` of a user, or `state`.
-- `present` is the set of the group's users. In a group of more than `max_listed` users it leaves
-- the number to the next sweep, by adding the group to the set `pending`.
local function publish_presence(present, pending, group, channel, change, user, max_listed)
  local count = redis.call('SCARD', present)
  if user and count > max_listed then
    redis.call('SADD', pending, group)
    return
  end
  local event = {type = 'parlor_presence', change = change, user = user, count = tostring(count)}
  if not user and count <= max_listed then
    event.members = table.concat(redis.call('SMEMBERS', present), ' ')
  end
  redis.call('PUBLISH', channel, cmsgpack.pack(event))
end

