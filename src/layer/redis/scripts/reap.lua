-- Takes every node whose lease is gone out of every set; returns their ids. Their users have left, unless they
-- are at another node; those of the caller may come back within the grace.
-- ARGV: the grace in ms, and the caller, if it leaves itself.
local caller = ARGV[2]
if caller then
  redis.call('DEL', 'parlor:node:' .. caller)
  redis.call('SADD', 'parlor:nodes', caller) -- it may have been taken out before it wrote its last
end
local dead = {}
for _, node in ipairs(redis.call('SMEMBERS', 'parlor:nodes')) do
  local lease = 'parlor:node:' .. node
  if redis.call('EXISTS', lease) == 0 then
    local gone = now() + (node == caller and ARGV[1] or 0)
    local index = lease .. ':groups'
    for _, group in ipairs(redis.call('SMEMBERS', index)) do
      local here = 'parlor:group:' .. group .. ':' .. node
      local users = redis.call('SMEMBERS', here)
      redis.call('SREM', 'parlor:group:' .. group, node)
      redis.call('UNLINK', here)
      for _, user in ipairs(users) do
        if not is_in(group, user) then
          redis.call('ZADD', LEAVING, gone, user .. ' ' .. group)
        end
      end
    end
    redis.call('UNLINK', index)
    redis.call('SREM', 'parlor:nodes', node)
    dead[#dead + 1] = node
  end
end
return dead
