-- Writes which users joined and left the groups of a node, and publishes the joins. A user that
-- left leaves the group after its grace, unless it is on another node then: see `leave.lua`.
-- KEYS: the node's groups (set), the leaving users (sorted set of `<user> <group>`, by the ms when
-- the grace ends), the pending states (set of groups); then for each group: its nodes (set), its
-- users on the node (set), its users (set).
-- ARGV: the node, '1' if this is its whole state and no news, the grace in ms, the number of users
-- that are listed at most; then for each group: its name, its channel, '1' if the node has members
-- there, and two lists (length, users): joined, left.
-- Returns nothing.
local index, leaving, pending = KEYS[1], KEYS[2], KEYS[3]
local node, is_complete = ARGV[1], ARGV[2] == '1'
local grace, max_listed = tonumber(ARGV[3]), tonumber(ARGV[4])
local at = 5
local MAX_SINGLE_JOINS = 32 -- more users who join at once are published as one state

local function take()
  at = at + 1
  return ARGV[at - 1]
end

for key = 4, #KEYS, 3 do
  local nodes, here, present = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local group, channel, has_members = take(), take(), take() == '1'
  if has_members then
    redis.call('SADD', index, group)
    redis.call('SADD', nodes, node)
  end
  local joined = {}
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SADD', here, user)
    redis.call('ZREM', leaving, user .. ' ' .. group)
    if redis.call('SADD', present, user) == 1 then
      joined[#joined + 1] = user
    end
  end
  if is_complete then
    redis.call('SADD', pending, group)
  elseif #joined > MAX_SINGLE_JOINS and redis.call('SCARD', present) <= max_listed then
    publish_presence(present, pending, group, channel, 'state', nil, max_listed)
  else
    for _, user in ipairs(joined) do
      publish_presence(present, pending, group, channel, 'join', user, max_listed)
    end
  end
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SREM', here, user)
    redis.call('ZADD', leaving, now() + grace, user .. ' ' .. group)
  end
  if not has_members then
    redis.call('SREM', nodes, node)
    redis.call('SREM', index, group)
  end
end
