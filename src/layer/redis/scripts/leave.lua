-- Removes users of a group whose grace is over and who are on no node, and publishes their leaves.
-- A user who joins on a node that the caller does not know yet is not leaving any more.
-- KEYS: the leaving users (sorted set of `<user> <group>`, by the ms when the grace ends), the
-- pending states (set of groups), the users of the group (set); then for each of its nodes: the
-- users there (set).
-- ARGV: the group, its channel, the number of users that are listed at most, then the users.
-- Returns nothing.
local leaving, pending, present = KEYS[1], KEYS[2], KEYS[3]
local group, channel, max_listed = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function is_here(user)
  for key = 4, #KEYS do
    if redis.call('SISMEMBER', KEYS[key], user) == 1 then
      return true
    end
  end
  return false
end

for i = 4, #ARGV do
  local user = ARGV[i]
  local entry = user .. ' ' .. group
  local leaves_at = redis.call('ZSCORE', leaving, entry)
  if leaves_at and tonumber(leaves_at) <= now() then
    redis.call('ZREM', leaving, entry)
    if not is_here(user) and redis.call('SREM', present, user) == 1 then
      publish_presence(present, pending, group, channel, 'leave', user, max_listed)
    end
  end
end
