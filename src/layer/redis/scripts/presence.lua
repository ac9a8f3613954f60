-- What the scripts about users have in common: keys, time, and how a change is told.
local LEAVING = 'parlor:leaving' -- sorted set of `<user> <group>`, by the ms when the user has left
local COUNTING = 'parlor:counting' -- set of groups whose state is told at the next sweep

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function present(group)
  return 'parlor:present:' .. group
end

-- Whether the user has a member in the group, on any node.
local function is_in(group, user)
  local nodes = 'parlor:group:' .. group
  for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
    if redis.call('SISMEMBER', nodes .. ':' .. node, user) == 1 then
      return true
    end
  end
  return false
end

local function tell(group, change, user, listed)
  local count = redis.call('SCARD', present(group))
  if user and count > listed then
    redis.call('SADD', COUNTING, group)
    return
  end
  local event = {type = 'parlor_presence', change = change, user = user, count = tostring(count)}
  if not user and count <= listed then
    event.members = table.concat(redis.call('SMEMBERS', present(group)), ' ')
  end
  redis.call('PUBLISH', 'parlor:live:' .. group, cmsgpack.pack(event))
end

