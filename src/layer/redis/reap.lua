-- Takes every node whose lease is gone out of every set; returns their ids.
-- ARGV: the caller, if it leaves itself.
if ARGV[1] then
  redis.call('DEL', 'parlor:node:' .. ARGV[1])
  redis.call('SADD', 'parlor:nodes', ARGV[1]) -- it may have been taken out before it wrote its last
end
local dead = {}
for _, node in ipairs(redis.call('SMEMBERS', 'parlor:nodes')) do
  local lease = 'parlor:node:' .. node
  if redis.call('EXISTS', lease) == 0 then
    local groups = lease .. ':groups'
    for _, group in ipairs(redis.call('SMEMBERS', groups)) do
      redis.call('SREM', 'parlor:group:' .. group, node)
      redis.call('UNLINK', 'parlor:group:' .. group .. ':' .. node)
    end
    redis.call('UNLINK', groups)
    redis.call('SREM', 'parlor:nodes', node)
    dead[#dead + 1] = node
  end
end
return dead
