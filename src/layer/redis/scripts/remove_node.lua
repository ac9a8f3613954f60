-- Removes a node from some of its groups. Its users there leave after a time, unless they are on
-- another node then: see `leave.lua`. The node is removed as well when it has no group left.
-- KEYS: the lease of the node (string), the names of all nodes (set), the node's groups (set), the
-- leaving users (sorted set of `<user> <group>`, by the ms when they leave); then for each group:
-- its nodes (set), its users on the node (set).
-- ARGV: the node, '1' if it removes itself, in how many ms its users leave, the number of users at
-- most; then the groups.
-- Returns `alive` if the node has a lease and does not remove itself, `removed` if nothing of it is
-- left, else `more`.
local lease, all, index, leaving = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local node, is_caller, max_users = ARGV[1], ARGV[2] == '1', tonumber(ARGV[4])
if not is_caller and redis.call('EXISTS', lease) == 1 then
  return 'alive'
end
local leaves_at = now() + ARGV[3]
for i = 5, #ARGV do
  local group, nodes, here = ARGV[i], KEYS[2 * i - 5], KEYS[2 * i - 4]
  local users = redis.call('SPOP', here, max_users)
  for _, user in ipairs(users) do
    redis.call('ZADD', leaving, leaves_at, user .. ' ' .. group)
  end
  max_users = max_users - #users
  if max_users <= 0 then
    return 'more'
  end
  redis.call('SREM', nodes, node)
  redis.call('SREM', index, group)
end
if redis.call('SCARD', index) > 0 then
  return 'more'
end
redis.call('SREM', all, node)
redis.call('DEL', lease)
return 'removed'
