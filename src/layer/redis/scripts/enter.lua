-- Writes which users came to this node's groups and which left.
-- ARGV: the node, `1` if it tells everything anew and nothing of it is news, the grace in ms, how many users are
-- listed; then for each group: its name, `1` if the node has members there, and two lists (length, users): came, left.
local node, anew, grace, listed = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local index = 'parlor:node:' .. node .. ':groups'
local at = 5
local CROWD = 32 -- more users who come at once are not told one by one

local function take()
  at = at + 1
  return ARGV[at - 1]
end

while at <= #ARGV do
  local group, stays = take(), take() == '1'
  local nodes = 'parlor:group:' .. group
  local here = nodes .. ':' .. node
  if stays then
    redis.call('SADD', index, group)
    redis.call('SADD', nodes, node)
  end
  local arrived = {}
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SADD', here, user)
    redis.call('ZREM', LEAVING, user .. ' ' .. group)
    if redis.call('SADD', present(group), user) == 1 then
      arrived[#arrived + 1] = user
    end
  end
  if anew then
    redis.call('SADD', COUNTING, group)
  elseif #arrived > CROWD and redis.call('SCARD', present(group)) <= listed then
    tell(group, 'state', nil, listed)
  else
    for _, user in ipairs(arrived) do
      tell(group, 'join', user, listed)
    end
  end
  for _ = 1, tonumber(take()) do
    local user = take()
    redis.call('SREM', here, user)
    if not is_in(group, user) then
      redis.call('ZADD', LEAVING, now() + grace, user .. ' ' .. group)
    end
  end
  if not stays then
    redis.call('SREM', nodes, node)
    redis.call('SREM', index, group)
  end
end
