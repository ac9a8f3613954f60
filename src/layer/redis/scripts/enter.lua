-- Writes which users joined and left the groups of a node, and publishes the joins.
-- KEYS: none; see `presence.lua`.
-- ARGV: the node, '1' if this is its whole state and no news, the grace in ms, the number of users
-- that are listed at most; then for each group: its name, '1' if the node has members there, and
-- two lists (length, users): joined, left.
-- Returns nothing.
local node, is_complete = ARGV[1], ARGV[2] == '1'
local grace, max_listed = tonumber(ARGV[3]), tonumber(ARGV[4])
local index = APPLICATION .. ':node:' .. node .. ':groups'
local at = 5
local MAX_SINGLE_JOINS = 32 -- more users who join at once are published as one state

local function take()
  at = at + 1
  return ARGV[at - 1]
end

while at <= #ARGV do
  local group, has_members = take(), take() == '1'
  local nodes = APPLICATION .. ':group:' .. group
  local here = nodes .. ':' .. node
  if has_members then
    redis.call('SADD', index, group)
    redis.call('SADD', nodes, node)
  end
  local joined = {}
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SADD', here, user)
    redis.call('ZREM', LEAVING, user .. ' ' .. group)
    if redis.call('SADD', present(group), user) == 1 then
      joined[#joined + 1] = user
    end
  end
  if is_complete then
    redis.call('SADD', PENDING_STATES, group)
  elseif #joined > MAX_SINGLE_JOINS and redis.call('SCARD', present(group)) <= max_listed then
    publish_presence(group, 'state', nil, max_listed)
  else
    for _, user in ipairs(joined) do
      publish_presence(group, 'join', user, max_listed)
    end
  end
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SREM', here, user)
    if not is_in(group, user) then
      redis.call('ZADD', LEAVING, now() + grace, user .. ' ' .. group)
    end
  end
  if not has_members then
    redis.call('SREM', nodes, node)
    redis.call('SREM', index, group)
  end
end
