-- The functions that the scripts about users share; it stands before each of them. The keys follow
-- from the names of groups and nodes in ARGV: these scripts need a Redis that is no Cluster. Before
-- it stands `local APPLICATION`, the application's name, with which each key begins.
-- Sorted set of `<user> <group>`, by the ms when the grace ends.
local LEAVING = APPLICATION .. ':leaving'
-- Set of groups whose state the next sweep publishes.
local PENDING_STATES = APPLICATION .. ':counting'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns the set of users in a group, with those in their grace.
local function present(group)
  return APPLICATION .. ':present:' .. group
end

-- Returns whether the user has a member in the group, on any node.
local function is_in(group, user)
  local nodes = APPLICATION .. ':group:' .. group
  for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
    if redis.call('SISMEMBER', nodes .. ':' .. node, user) == 1 then
      return true
    end
  end
  return false
end

-- Publishes a presence event: `join` or `leave` of a user, or `state`. In a group of more than
-- `max_listed` users it leaves the number to the next sweep.
local function publish_presence(group, change, user, max_listed)
  local count = redis.call('SCARD', present(group))
  if user and count > max_listed then
    redis.call('SADD', PENDING_STATES, group)
    return
  end
  local event = {type = 'parlor_presence', change = change, user = user, count = tostring(count)}
  if not user and count <= max_listed then
    event.members = table.concat(redis.call('SMEMBERS', present(group)), ' ')
  end
  redis.call('PUBLISH', CHANNELS .. ':c:{' .. group .. '}', cmsgpack.pack(event))
end

